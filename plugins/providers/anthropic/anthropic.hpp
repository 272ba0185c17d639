// anthropic.hpp - the Messages API of Anthropic and of the servers that speak it.
#pragma once
#include <cstdint>
#include <memory>
#include <rustic/provider/translator.hpp>
#include <string>
#include <string_view>

#include "request.hpp"

namespace rustic::anthropic {

class messages : public provider::translator {
 public:
  // Throws failure(INVALID_ARGUMENT) that names the instance and the member.
  messages(std::string_view name, const json::object& members);

  provider::outgoing generate(const json::object& request) override;
  std::unique_ptr<provider::answer_reader> reader(const provider::subject& about,
                                                  std::uint64_t id_seed) override;
  // Learns what a model does not take, and the most that it gives.
  bool reconsider(const provider::refused_attempt& attempt) override;
  provider::outgoing models(std::string_view page) override;
  std::string read_models(const provider::subject& about, std::string_view body,
                          json::array& models) override;
  std::optional<provider::outgoing> count_tokens(const json::object& request) override;
  provider::classifier classify() const override;

 private:
  const settings settings_;
  provider::model_memory learnt_;
};

// What an error of the API means.
provider::verdict classify_error(int http_status, const provider::parsed_error& parsed);

}  // namespace rustic::anthropic
