// config.hpp - one configured provider of type "openai": where it is and how its server differs.
#pragma once
#include <cstdint>
#include <rustic/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rustic::openai {

enum class reasoning_replay { never, tool_turns, always };

struct config {
  std::string name;      // of the instance: rustic.provider/<name>
  std::string base_url;  // without a slash at its end
  std::string api_key;   // a reference such as env:NAME; empty: none is sent
  std::string model;     // for requests that name none
  std::string organization;
  std::string project;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string max_tokens_field;  // max_tokens or max_completion_tokens; empty: by the address
  std::string system_role;       // system or developer
  bool stream_usage = true;      // ask for the usage at the end of a stream
  reasoning_replay replay = reasoning_replay::tool_turns;
  json::object body;  // members added to every generate request; they win
  std::int64_t connect_timeout_ms = 0;
  std::int64_t first_byte_timeout_ms = 0;
  std::int64_t idle_timeout_ms = 0;

  // Whether this is OpenAI's own service and not one that speaks its language.
  bool is_openai() const;
  std::string_view default_max_tokens_field() const;
};

// Throws failure(INVALID_ARGUMENT) that names the instance and the member.
config read_config(std::string_view name, const json::object& object);

// The body of a rustic.http request for base_url + path.
std::string http_request(const config& instance, std::string_view method, std::string_view path,
                         bool streaming);

}  // namespace rustic::openai
