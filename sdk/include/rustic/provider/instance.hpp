// instance.hpp - one configured provider: where its server is, with which key and which timeouts.
#pragma once
#include <cstdint>
#include <rustic/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rustic::provider {

struct outgoing;

// What holds when the configuration does not say it.
struct instance_defaults {
  std::string_view base_url = {};  // empty: the configuration must name it
  std::string_view api_key = {};   // a reference such as env:NAME
  std::string_view key_header = "Authorization";
  std::string_view key_prefix = "Bearer ";
};

struct instance {
  std::string name;      // rustic.provider/<name>
  std::string base_url;  // without a slash at its end
  std::string api_key;   // a reference such as env:NAME; empty: none is sent
  std::string model;     // for requests that name none
  std::string key_header;
  std::string key_prefix;
  std::vector<std::pair<std::string, std::string>> headers;
  json::object body;  // members added to every generate request; they win
  // 0: the transport's, which [plugin.http] sets.
  std::int64_t connect_timeout_ms = 0;
  std::int64_t first_byte_timeout_ms = 0;
  std::int64_t idle_timeout_ms = 0;

  // Whether the server is `domain` or one below it.
  bool is_at(std::string_view domain) const;
};

// Reads base_url, api_key, model, headers, body and the three timeouts. Throws
// failure(INVALID_ARGUMENT) that names the instance and the member.
instance read_instance(std::string_view name, const json::object& members,
                       const instance_defaults& defaults = {});

// For a provider's own members, with the same kind of message.
[[noreturn]] void refuse_member(std::string_view name, std::string_view member,
                                std::string_view why);
std::string text_member(std::string_view name, const json::object& members, std::string_view key,
                        std::string_view fallback = {});
// One of the choices; the first is the fallback.
std::string choice_member(std::string_view name, const json::object& members, std::string_view key,
                          std::initializer_list<std::string_view> choices);

// The body of a rustic.http request.
std::string http_request(const instance& where, const outgoing& what);

}  // namespace rustic::provider
