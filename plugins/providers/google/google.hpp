// google.hpp - the Gemini API of Google, with a key or on Vertex.
#pragma once
#include <cstdint>
#include <memory>
#include <rustic/provider/translator.hpp>
#include <string>
#include <string_view>

#include "request.hpp"

namespace rustic::google {

class gemini : public provider::translator {
 public:
  // Throws failure(INVALID_ARGUMENT) that names the instance and the member.
  gemini(std::string_view name, const json::object& members);

  provider::outgoing generate(const json::object& request) override;
  std::unique_ptr<provider::answer_reader> reader(const provider::subject& about,
                                                  std::uint64_t id_seed) override;
  // Learns what a model does not take, and what it wants beside.
  bool reconsider(const provider::refused_attempt& attempt) override;
  provider::outgoing models(std::string_view page) override;
  std::string read_models(const provider::subject& about, std::string_view body,
                          json::array& models) override;
  provider::outgoing embed(const json::object& request) override;
  json::object read_embeddings(const provider::subject& about, std::string_view body,
                               const json::object& request) override;
  std::optional<provider::outgoing> count_tokens(const json::object& request) override;
  std::int64_t read_count(const provider::subject& about, std::string_view body) override;
  provider::classifier classify() const override;

 private:
  const settings settings_;
  provider::model_memory learnt_;
  provider::model_memory told_;  // warnings about schemas, which are the same in each request
};

// What an error of the API means.
provider::verdict classify_error(int http_status, const provider::parsed_error& parsed);

}  // namespace rustic::google
