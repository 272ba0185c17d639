// rustic/http.hpp - the structs of rustic.http; docs/interfaces/http.md says what they mean.
#pragma once
#include <rustic/describe.hpp>

namespace rustic {

// A header of a request. With `secret`, the value is the prefix and what the reference stands for.
struct http_header {
  std::string name;
  std::string value;
  std::string secret;  // "env:NAME" and the like; empty: `value` counts

  json::value to_json() const {
    if (secret.empty()) return json::array{name, value};
    return json::array{name, json::object{{"prefix", value}, {"secret", secret}}};
  }
  static http_header from_json(const json::value& from, const std::string& path) {
    const auto* pair = from.if_array();
    if (!pair || pair->size() != 2 || !(*pair)[0].is_string())
      detail::wrong_type(path, "a list of name and value");
    http_header out;
    out.name = (*pair)[0].get_string();
    if (const auto* text = (*pair)[1].if_string()) {
      out.value = *text;
    } else if (const auto* reference = (*pair)[1].if_object()) {
      out.value = text_or(*reference, "prefix");
      out.secret = require_text(*reference, "secret", path);
    } else {
      detail::wrong_type(path, "a text or a secret");
    }
    return out;
  }
};

struct http_request {
  std::string method = "GET";
  std::string url;
  std::vector<http_header> headers;
  std::optional<std::int64_t> connect_timeout_ms, first_byte_timeout_ms, idle_timeout_ms;
  std::optional<std::int64_t> max_redirects, max_body_bytes;
};
BOOST_DESCRIBE_STRUCT(http_request, (),
                      (method, url, headers, connect_timeout_ms, first_byte_timeout_ms,
                       idle_timeout_ms, max_redirects, max_body_bytes))

// The text of the HEAD event.
struct http_head {
  std::vector<http_header> headers;
  std::optional<std::string> version, url;
};
BOOST_DESCRIBE_STRUCT(http_head, (), (headers, version, url))

struct http_result {
  std::int64_t status = 0;
  std::int64_t body_bytes = 0;
};
BOOST_DESCRIBE_STRUCT(http_result, (), (status, body_bytes))
}  // namespace rustic
