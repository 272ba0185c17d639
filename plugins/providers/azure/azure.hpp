// azure.hpp - what Azure OpenAI has of its own: addresses, the header of the key, deployments.
#pragma once
#include <memory>
#include <rustic/provider/chat.hpp>
#include <rustic/provider/responses.hpp>
#include <string>
#include <string_view>

namespace rustic::azure {

// A translator for the members "api" and "api_version". Throws failure(INVALID_ARGUMENT) that names
// the instance and the member.
std::unique_ptr<provider::translator> make(std::string_view name, const json::object& members);

// The addresses before /openai/v1: the deployment stands in the path, the version behind it.
class versioned_chat : public provider::chat_translator {
 public:
  versioned_chat(provider::instance where, provider::chat_options how, std::string version)
      : chat_translator(std::move(where), std::move(how)), version_(std::move(version)) {}

  provider::outgoing generate(const json::object& request) override;
  provider::outgoing models(std::string_view page) override;
  provider::outgoing embed(const json::object& request) override;

 private:
  provider::outgoing behind_deployment_(const json::object& request, provider::outgoing sent) const;
  std::string query_() const;

  const std::string version_;
};

}  // namespace rustic::azure
