#include <algorithm>
#include <array>
#include <rustic/provider/limits.hpp>
#include <rustic/provider/turns.hpp>
#include <rustic/status.hpp>

namespace rustic::provider {
namespace {

constexpr std::string_view white = " \t\r\n";
constexpr std::size_t id_bytes_max = 64;

bool is_blank(std::string_view text) {
  return text.find_first_not_of(white) == std::string_view::npos;
}

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-';
}

speaker read_role(const json::object& message) {
  const std::string_view role = require_text(message, "role", "a message");
  if (role == "system") return speaker::system;
  if (role == "user") return speaker::user;
  if (role == "assistant") return speaker::assistant;
  refuse_request("the role '" + std::string(role) +
                 "' is not known; use system, user or assistant");
}

bool belongs_to(speaker who, std::string_view type) {
  if (type == "text") return true;
  if (who == speaker::assistant) return type == "tool_call" || type == "reasoning";
  if (who == speaker::system) return false;
  return type == "image" || type == "file" || type == "tool_result";
}

void add_parts(const json::object& message, speaker who, bool from_system,
               std::vector<turn_part>& out) {
  for (const json::value& value : array_or_empty(message, "parts")) {
    const json::object& part = request_object(value, "a part");
    const std::string_view type = require_text(part, "type", "a part");
    if (!belongs_to(who, type)) {
      refuse_request("a message of this role cannot hold a part of type '" + std::string(type) +
                     "'");
    }
    if (type == "text" && is_blank(text_or(part, "text")) && !part.contains("opaque")) continue;
    out.push_back({type, &part, from_system});
  }
}

}  // namespace

void refuse_request(std::string message) {
  throw failure(status_code::invalid_argument, "generate: " + std::move(message),
                "see the provider interface for the form of a request");
}

const json::object& request_object(const json::value& value, std::string_view what) {
  if (!value.is_object()) refuse_request(std::string(what) + " must be an object");
  return value.as_object();
}

std::string_view model_of(const json::object& generate, const instance& where) {
  const std::string_view model = text_or(generate, "model", where.model);
  if (model.empty()) {
    refuse_request(
        "no model is named, neither in the request nor in the configuration of "
        "provider '" +
        where.name + "'");
  }
  return model;
}

std::vector<turn> read_turns(const json::object& generate) {
  const json::array& messages = array_or_empty(generate, "messages");
  if (messages.empty()) refuse_request("messages is empty");
  std::vector<turn> turns;
  bool begun = false;
  for (const json::value& value : messages) {
    const json::object& message = request_object(value, "a message");
    const speaker role = read_role(message);
    const bool inside = role == speaker::system && begun;
    const speaker who = inside ? speaker::user : role;
    if (who != speaker::system) begun = true;
    std::vector<turn_part> parts;
    add_parts(message, role, inside, parts);
    if (parts.empty()) continue;
    if (turns.empty() || turns.back().who != who) turns.push_back({who, {}});
    std::vector<turn_part>& all = turns.back().parts;
    all.insert(all.end(), parts.begin(), parts.end());
  }
  if (turns.empty()) refuse_request("no message says anything");
  for (turn& one : turns) {
    std::stable_partition(one.parts.begin(), one.parts.end(),
                          [](const turn_part& part) { return part.type == "tool_result"; });
  }
  return turns;
}

std::string part_text(const turn_part& part) {
  const std::string_view text = text_or(*part.body, "text");
  if (!part.from_system) return std::string(text);
  return "<system>\n" + std::string(text) + "\n</system>";
}

std::string object_arguments(std::string_view arguments) {
  if (is_blank(arguments)) return "{}";
  boost::system::error_code problem;
  const json::value value = json::parse(arguments, problem);
  if (!problem && value.is_object()) return std::string(arguments);
  return json::serialize(json::object{
      {"malformed_arguments", cut_utf8(arguments, limits::malformed_arguments_bytes_max)}});
}

std::string plain_id(std::string_view id) {
  if (!id.empty() && id.size() <= id_bytes_max && std::all_of(id.begin(), id.end(), is_plain)) {
    return std::string(id);
  }
  std::uint64_t hash = 0xCBF29CE484222325u;
  for (const char c : id) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  std::string out(id.substr(0, 32));
  std::replace_if(
      out.begin(), out.end(), [](char c) { return !is_plain(c); }, '_');
  out += '_';
  constexpr std::string_view digits = "0123456789abcdef";
  for (int i = 0; i < 12; ++i, hash >>= 4) out += digits[hash & 15];
  return out;
}

std::optional<std::string> decode_base64(std::string_view text) {
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string out;
  out.reserve(text.size() / 4 * 3 + 3);
  std::uint32_t held = 0;
  int bits = 0;
  for (const char c : text) {
    std::uint32_t digit = 0;
    if (c >= 'A' && c <= 'Z') {
      digit = static_cast<std::uint32_t>(c - 'A');
    } else if (c >= 'a' && c <= 'z') {
      digit = static_cast<std::uint32_t>(c - 'a' + 26);
    } else if (c >= '0' && c <= '9') {
      digit = static_cast<std::uint32_t>(c - '0' + 52);
    } else if (c == '+' || c == '-') {
      digit = 62;
    } else if (c == '/' || c == '_') {
      digit = 63;
    } else {
      return std::nullopt;
    }
    held = (held << 6) | digit;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      out += static_cast<char>((held >> bits) & 0xFF);
    }
  }
  return out;
}

bool is_text_type(std::string_view media_type) {
  constexpr std::array<std::string_view, 7> others{
      "application/json",       "application/xml", "application/yaml", "application/x-yaml",
      "application/javascript", "application/sql", "application/toml"};
  return media_type.starts_with("text/") || media_type.ends_with("+json") ||
         media_type.ends_with("+xml") ||
         std::find(others.begin(), others.end(), media_type) != others.end();
}

std::string url_segment(std::string_view text) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    if (is_plain(c) || c == '.' || c == '~') {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += '%';
      out += digits[byte >> 4];
      out += digits[byte & 15];
    }
  }
  return out;
}

json::object form_in_words(json::object generate) {
  const json::object format =
      object_or_empty(object_or_empty(generate, "options"), "response_format");
  std::string words =
      "Your final answer is one JSON value and nothing else: no explanation, no code fence.";
  if (const json::value* schema = find(format, "schema")) {
    words += " It must fit this JSON Schema:\n" + json::serialize(*schema);
  } else if (text_or(format, "type") == "json_schema") {
    refuse_request("options.response_format has no schema");
  }
  json::object part{{"type", "text"}, {"text", std::move(words)}};
  json::array messages = array_or_empty(generate, "messages");
  // A server may take one system message alone.
  const bool has = !messages.empty() && messages.front().is_object() &&
                   text_or(messages.front().as_object(), "role") == "system";
  if (has) {
    json::object& system = messages.front().as_object();
    json::array parts = array_or_empty(system, "parts");
    parts.push_back(std::move(part));
    system["parts"] = std::move(parts);
  } else {
    messages.insert(messages.begin(),
                    json::object{{"role", "system"}, {"parts", json::array{std::move(part)}}});
  }
  generate["messages"] = std::move(messages);
  return generate;
}

std::string left_out(const instance& where, std::string_view option) {
  return "provider '" + where.name + "' does not take " + std::string(option) +
         ": the option was left out";
}

}  // namespace rustic::provider
