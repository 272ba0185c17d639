#include <array>
#include <rustic/provider/instance.hpp>
#include <rustic/provider/limits.hpp>
#include <rustic/provider/translator.hpp>
#include <rustic/status.hpp>

namespace rustic::provider {
namespace {

std::string_view host_of(std::string_view url) {
  const std::size_t scheme = url.find("://");
  if (scheme == std::string_view::npos) return {};
  url.remove_prefix(scheme + 3);
  return url.substr(0, url.find_first_of(":/?#"));
}

}  // namespace

void refuse_member(std::string_view name, std::string_view member, std::string_view why) {
  std::string message = "provider '";
  message.append(name).append("': ").append(member).append(" ").append(why);
  throw failure(status_code::invalid_argument, std::move(message),
                "correct it in the configuration of this provider");
}

std::string text_member(std::string_view name, const json::object& members, std::string_view key,
                        std::string_view fallback) {
  const json::value* value = find(members, key);
  if (value == nullptr) return std::string(fallback);
  if (!value->is_string()) refuse_member(name, key, "must be text");
  return std::string(value->as_string());
}

std::string choice_member(std::string_view name, const json::object& members, std::string_view key,
                          std::initializer_list<std::string_view> choices) {
  std::string text = text_member(name, members, key, *choices.begin());
  std::string known;
  for (const std::string_view choice : choices) {
    if (text == choice) return text;
    if (choice.empty()) continue;
    if (!known.empty()) known += ", ";
    known += choice;
  }
  refuse_member(name, key, "must be one of " + known);
}

bool instance::is_at(std::string_view domain) const {
  const std::string_view mine = host_of(base_url);
  return mine == domain || (mine.size() > domain.size() && mine.ends_with(domain) &&
                            mine[mine.size() - domain.size() - 1] == '.');
}

instance read_instance(std::string_view name, const json::object& members,
                       const instance_defaults& defaults) {
  instance out;
  out.name = name;
  out.base_url = text_member(name, members, "base_url", defaults.base_url);
  while (out.base_url.ends_with('/')) out.base_url.pop_back();
  if (out.base_url.empty()) refuse_member(name, "base_url", "is missing");
  if (!out.base_url.starts_with("http://") && !out.base_url.starts_with("https://")) {
    refuse_member(name, "base_url",
                  "must begin with http:// or https://, but is '" + out.base_url + "'");
  }
  if (host_of(out.base_url).empty()) refuse_member(name, "base_url", "names no host");
  out.api_key = text_member(name, members, "api_key", defaults.api_key);
  if (!out.api_key.empty() && out.api_key.find(':') == std::string::npos) {
    refuse_member(name, "api_key",
                  "must be a reference such as env:OPENAI_API_KEY and not the key itself");
  }
  out.key_header = defaults.key_header;
  out.key_prefix = defaults.key_prefix;
  out.model = text_member(name, members, "model");
  for (const auto& [key, value] : object_or_empty(members, "headers")) {
    if (!value.is_string()) refuse_member(name, "headers", "must hold texts");
    out.headers.emplace_back(key, value.as_string());
  }
  out.body = object_or_empty(members, "body");
  out.connect_timeout_ms = duration_ms_or(members, "connect_timeout", 0);
  out.first_byte_timeout_ms = duration_ms_or(members, "first_byte_timeout", 0);
  out.idle_timeout_ms = duration_ms_or(members, "idle_timeout", 0);
  return out;
}

std::string http_request(const instance& where, const outgoing& what) {
  json::array headers;
  const auto add = [&](std::string_view key, json::value value) {
    headers.push_back(json::array{key, std::move(value)});
  };
  if (!what.body.empty()) add("Content-Type", "application/json");
  add("Accept", json::string(what.accept));
  if (!where.api_key.empty()) {
    add(where.key_header, json::object{{"prefix", where.key_prefix}, {"secret", where.api_key}});
  }
  for (const auto& [key, value] : what.headers) add(key, json::string(value));
  for (const auto& [key, value] : where.headers) add(key, json::string(value));

  json::object out;
  out["method"] = !what.method.empty() ? what.method : what.body.empty() ? "GET" : "POST";
  out["url"] = what.path.starts_with("http") ? what.path : where.base_url + what.path;
  out["headers"] = std::move(headers);
  const auto limit = [&](std::string_view key, std::int64_t timeout_ms) {
    if (timeout_ms > 0) out[key] = timeout_ms;
  };
  limit("connect_timeout_ms", where.connect_timeout_ms);
  limit("first_byte_timeout_ms", where.first_byte_timeout_ms);
  limit("idle_timeout_ms", where.idle_timeout_ms);
  return json::serialize(out);
}

}  // namespace rustic::provider
