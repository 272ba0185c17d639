#include "settings.hpp"

#include <algorithm>
#include <rustic/status.hpp>

namespace rustic::http {
namespace {

using std::chrono::milliseconds;

[[noreturn]] void refuse(const std::string& message) {
  throw failure(status_code::invalid_argument, message);
}

milliseconds duration_of(const json::object& config, std::string_view key, milliseconds fallback) {
  const auto ms = duration_ms_or(config, key, fallback.count());
  if (ms <= 0) refuse("[plugin.http] " + std::string(key) + " must be longer than nothing");
  return std::min(milliseconds(ms), limits::timeout_max);
}

std::string text_of(const json::object& config, std::string_view key, std::string_view fallback) {
  std::string text(text_or(config, key, fallback));
  const bool control = std::any_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
  });
  if (control) refuse("[plugin.http] " + std::string(key) + " holds a control character");
  return text;
}

std::optional<milliseconds> timeout_of(const json::object& body, std::string_view key) {
  const json::value* value = find(body, key);
  if (!value) return std::nullopt;
  const auto ms = int_or(body, key, -1);
  if (ms <= 0) refuse("http request: " + std::string(key) + " must be a number above 0");
  return std::min(milliseconds(ms), limits::timeout_max);
}

void read_header(const json::value& entry, described_request& out) {
  const json::array* pair = entry.if_array();
  if (!pair || pair->size() != 2 || !(*pair)[0].is_string()) {
    refuse("http request: each of headers must be [name, value]");
  }
  request_header header;
  header.name.assign((*pair)[0].get_string().data(), (*pair)[0].get_string().size());
  const json::value& value = (*pair)[1];
  if (value.is_string()) {
    header.value.assign(value.get_string().data(), value.get_string().size());
  } else if (const json::object* secret = value.if_object()) {
    header.secret = true;
    const std::string what = "http request: header " + header.name;
    out.secrets.push_back({out.request.headers.size(), std::string(text_or(*secret, "prefix")),
                           std::string(require_text(*secret, "secret", what))});
  } else {
    refuse("http request: the value of header " + header.name +
           " must be text or {\"prefix\", \"secret\"}");
  }
  out.request.headers.push_back(std::move(header));
}

}  // namespace

client_settings read_settings(const json::object& config) {
  client_settings out;
  out.connect_timeout = duration_of(config, "connect_timeout", out.connect_timeout);
  out.first_byte_timeout = duration_of(config, "first_byte_timeout", out.first_byte_timeout);
  out.idle_timeout = duration_of(config, "idle_timeout", out.idle_timeout);
  const auto connections =
      int_or(config, "max_connections_per_origin",
             static_cast<std::int64_t>(limits::connections_per_origin_default));
  if (connections < 1 ||
      connections > static_cast<std::int64_t>(limits::connections_per_origin_max)) {
    refuse("[plugin.http] max_connections_per_origin must be from 1 to " +
           std::to_string(limits::connections_per_origin_max));
  }
  out.max_connections_per_origin = static_cast<std::size_t>(connections);
  out.user_agent = text_of(config, "user_agent", out.user_agent);
  out.tls.ca_file = text_of(config, "ca_file", {});
  out.tls.ca_path = text_of(config, "ca_path", {});
  out.proxy.https_proxy = text_of(config, "https_proxy", {});
  out.proxy.http_proxy = text_of(config, "http_proxy", {});
  out.proxy.all_proxy = text_of(config, "all_proxy", {});
  out.proxy.no_proxy = text_of(config, "no_proxy", {});
  return out;
}

described_request read_request(const json::object& body) {
  described_request out;
  out.request.method = text_or(body, "method", "GET");
  out.request.url = require_text(body, "url", "http request");
  if (const json::value* headers = find(body, "headers")) {
    const json::array* list = headers->if_array();
    if (!list) refuse("http request: headers must be a list of [name, value]");
    for (const auto& entry : *list) read_header(entry, out);
  }
  out.request.connect_timeout = timeout_of(body, "connect_timeout_ms");
  out.request.first_byte_timeout = timeout_of(body, "first_byte_timeout_ms");
  out.request.idle_timeout = timeout_of(body, "idle_timeout_ms");
  const auto redirects = int_or(body, "max_redirects", limits::redirects_default);
  if (redirects < 0) refuse("http request: max_redirects must not be negative");
  out.request.max_redirects =
      static_cast<int>(std::min<std::int64_t>(redirects, limits::redirects_max));
  const auto most = int_or(body, "max_body_bytes", 0);
  if (most < 0) refuse("http request: max_body_bytes must not be negative");
  out.request.max_body_bytes = static_cast<std::uint64_t>(most);
  return out;
}

std::string head_text(const response_head& head, const std::string& final_url) {
  json::array headers;
  headers.reserve(head.headers.size());
  for (const auto& [name, value] : head.headers) {
    headers.push_back(json::array{to_utf8(name), to_utf8(value)});
  }
  json::object out{{"headers", std::move(headers)}, {"version", head.version}};
  if (!final_url.empty()) out["url"] = to_utf8(final_url);
  return json::serialize(out);
}

std::string finish_text(const outcome& result) {
  if (result.status == RAI_OK) {
    return json::serialize(
        json::object{{"status", result.http_status}, {"body_bytes", result.body_bytes}});
  }
  error problem;
  problem.code = static_cast<status_code>(result.status);
  problem.message = to_utf8(result.message);
  problem.hint = result.hint;
  json::object details{{"bytes_received", result.body_bytes}};
  if (!result.kind.empty()) details["kind"] = result.kind;
  if (result.http_status != 0) details["http_status"] = result.http_status;
  problem.details = std::move(details);
  return error_body(problem);
}

}  // namespace rustic::http
