// request.hpp - builds the requests of the Gemini API out of those of rustic.provider.
#pragma once
#include <rustic/json.hpp>
#include <rustic/provider/translator.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace rustic::google {

// What the configuration of an instance says beside address and key.
struct settings {
  bool thoughts = true;  // ask for summaries of what the model thinks
  bool openapi = false;  // schemas in the older form
};

// What the server has refused so far for one model, or wants.
struct learnt {
  std::vector<std::string> words;

  bool has(std::string_view word) const;
  std::string text() const;
  static learnt from(std::string_view text);
};

// A schema in a form that the API takes, and the names of the rules that were lost on the way.
struct translated_schema {
  json::value schema;
  std::vector<std::string> lost;
};
// What the API knows of JSON Schema.
translated_schema known_schema(const json::value& schema);
// The subset of OpenAPI 3.0, for servers that know nothing else.
translated_schema openapi_schema(const json::value& schema);

// The request for models/M:streamGenerateContent or :generateContent. Throws
// failure(INVALID_ARGUMENT) that names what cannot be sent.
provider::outgoing build_request(const provider::instance& where, const settings& how,
                                 const learnt& known, const json::object& generate);
// The request for models/M:countTokens.
provider::outgoing build_count_request(const provider::instance& where, const settings& how,
                                       const json::object& generate);
// /models/M, for a name with or without its collection.
std::string model_path(std::string_view model);
// models/M
std::string model_resource(std::string_view model);

}  // namespace rustic::google
