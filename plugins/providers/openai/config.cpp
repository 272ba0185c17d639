#include "config.hpp"

#include <array>
#include <rustic/status.hpp>

#include "limits.hpp"

namespace rustic::openai {
namespace {

constexpr std::string_view openai_url = "https://api.openai.com/v1";

[[noreturn]] void refuse(std::string_view name, std::string_view member, std::string_view why) {
  std::string message = "provider '";
  message.append(name).append("': ").append(member).append(" ").append(why);
  throw failure(status_code::invalid_argument, std::move(message),
                "correct it in the configuration of this provider");
}

std::string text_member(std::string_view name, const json::object& object, std::string_view key,
                        std::string_view fallback) {
  const json::value* value = find(object, key);
  if (value == nullptr) return std::string(fallback);
  if (!value->is_string()) refuse(name, key, "must be text");
  return std::string(value->as_string());
}

std::string choice_member(std::string_view name, const json::object& object, std::string_view key,
                          std::string_view first, std::string_view second,
                          std::string_view fallback) {
  std::string text = text_member(name, object, key, fallback);
  if (text != fallback && text != first && text != second) {
    refuse(name, key, std::string("must be ").append(first).append(" or ").append(second));
  }
  return text;
}

std::string_view host_of(std::string_view url) {
  const std::size_t scheme = url.find("://");
  if (scheme == std::string_view::npos) return {};
  url.remove_prefix(scheme + 3);
  return url.substr(0, url.find_first_of(":/?#"));
}

}  // namespace

bool config::is_openai() const {
  constexpr std::string_view host = "api.openai.com";
  const std::string_view mine = host_of(base_url);
  return mine == host || (mine.size() > host.size() && mine.ends_with(host) &&
                          mine[mine.size() - host.size() - 1] == '.');
}

std::string_view config::default_max_tokens_field() const {
  if (!max_tokens_field.empty()) return max_tokens_field;
  return is_openai() ? "max_completion_tokens" : "max_tokens";
}

config read_config(std::string_view name, const json::object& object) {
  config out;
  out.name = name;
  out.base_url = text_member(name, object, "base_url", openai_url);
  while (out.base_url.ends_with('/')) out.base_url.pop_back();
  if (!out.base_url.starts_with("http://") && !out.base_url.starts_with("https://")) {
    refuse(name, "base_url", "must begin with http:// or https://, but is '" + out.base_url + "'");
  }
  if (host_of(out.base_url).empty()) refuse(name, "base_url", "names no host");
  out.api_key = text_member(name, object, "api_key", "");
  if (!out.api_key.empty() && out.api_key.find(':') == std::string::npos) {
    refuse(name, "api_key",
           "must be a reference such as env:OPENAI_API_KEY and not the key itself");
  }
  out.model = text_member(name, object, "model", "");
  out.organization = text_member(name, object, "organization", "");
  out.project = text_member(name, object, "project", "");
  out.max_tokens_field =
      choice_member(name, object, "max_tokens_field", "max_tokens", "max_completion_tokens", "");
  out.system_role = choice_member(name, object, "system_role", "system", "developer", "system");
  out.stream_usage = bool_or(object, "stream_usage", true);
  const std::string replay =
      choice_member(name, object, "reasoning_replay", "never", "always", "tool_turns");
  out.replay = replay == "never"    ? reasoning_replay::never
               : replay == "always" ? reasoning_replay::always
                                    : reasoning_replay::tool_turns;
  for (const auto& [key, value] : object_or_empty(object, "headers")) {
    if (!value.is_string()) refuse(name, "headers", "must hold texts");
    out.headers.emplace_back(key, value.as_string());
  }
  out.body = object_or_empty(object, "body");
  out.connect_timeout_ms = duration_ms_or(object, "connect_timeout", limits::connect_timeout_ms);
  out.first_byte_timeout_ms =
      duration_ms_or(object, "first_byte_timeout", limits::first_byte_timeout_ms);
  out.idle_timeout_ms = duration_ms_or(object, "idle_timeout", limits::idle_timeout_ms);
  return out;
}

std::string http_request(const config& instance, std::string_view method, std::string_view path,
                         bool streaming) {
  json::array headers;
  const auto add = [&](std::string_view key, json::value value) {
    headers.push_back(json::array{key, std::move(value)});
  };
  if (method == "POST") add("Content-Type", "application/json");
  add("Accept", streaming ? "text/event-stream" : "application/json");
  if (!instance.api_key.empty()) {
    add("Authorization", json::object{{"prefix", "Bearer "}, {"secret", instance.api_key}});
  }
  if (!instance.organization.empty())
    add("OpenAI-Organization", json::string(instance.organization));
  if (!instance.project.empty()) add("OpenAI-Project", json::string(instance.project));
  for (const auto& [key, value] : instance.headers) add(key, json::string(value));

  json::object out;
  out["method"] = method;
  out["url"] = instance.base_url + std::string(path);
  out["headers"] = std::move(headers);
  out["connect_timeout_ms"] = instance.connect_timeout_ms;
  out["first_byte_timeout_ms"] = instance.first_byte_timeout_ms;
  out["idle_timeout_ms"] = instance.idle_timeout_ms;
  return json::serialize(out);
}

}  // namespace rustic::openai
