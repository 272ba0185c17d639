// zai.hpp - Z.ai's dialect of Chat Completions: thinking that is switched, calls that are streamed
// on demand, fewer choices.
#pragma once
#include <memory>
#include <rustic/provider/chat.hpp>
#include <string>
#include <string_view>

namespace rustic::zai {

class chat : public provider::chat_translator {
 public:
  chat(provider::instance where, provider::chat_options how, std::string thinking)
      : chat_translator(std::move(where), std::move(how)), thinking_(std::move(thinking)) {}

  provider::outgoing generate(const json::object& request) override;
  provider::classifier classify() const override;

 private:
  const std::string thinking_;  // auto, on or off
};

// Its codes are numbers that say more than the HTTP status, and stand in answers with status 200.
provider::verdict classify_error(int http_status, const provider::parsed_error& parsed);

// Throws failure(INVALID_ARGUMENT) that names the instance and the member.
std::unique_ptr<provider::translator> make(std::string_view name, const json::object& members);

}  // namespace rustic::zai
