// ollama.hpp - the own API of Ollama, on this machine or elsewhere.
#pragma once
#include <cstdint>
#include <memory>
#include <rustic/provider/translator.hpp>
#include <string>
#include <string_view>

#include "request.hpp"

namespace rustic::ollama {

class chat : public provider::translator {
 public:
  // Throws failure(INVALID_ARGUMENT) that names the instance and the member.
  chat(std::string_view name, const json::object& members);

  provider::outgoing generate(const json::object& request) override;
  std::unique_ptr<provider::answer_reader> reader(const provider::subject& about,
                                                  std::uint64_t id_seed) override;
  // Learns how a model thinks.
  bool reconsider(const provider::refused_attempt& attempt) override;
  provider::outgoing models(std::string_view page) override;
  std::string read_models(const provider::subject& about, std::string_view body,
                          json::array& models) override;
  provider::outgoing embed(const json::object& request) override;
  json::object read_embeddings(const provider::subject& about, std::string_view body,
                               const json::object& request) override;
  provider::classifier classify() const override;
  std::string_view unreachable_hint() const override;

 private:
  const settings settings_;
  provider::model_memory learnt_;
};

// What an error of the API means.
provider::verdict classify_error(int http_status, const provider::parsed_error& parsed);

}  // namespace rustic::ollama
