#include "window.hpp"

#include <algorithm>
#include <set>

namespace rustic::conversation {
namespace {

const json::array& parts_of(const json::object& message) {
  return array_or_empty(message, "parts");
}

std::string_view type_of(const json::value& part) {
  const auto* object = part.if_object();
  return object ? text_or(*object, "type") : std::string_view{};
}

std::size_t bytes_of(const json::value& message) {
  return json::serialize(message).size();
}

// Shortens the texts of a message that alone is too large: the middle of each goes.
json::object shorten(json::object message, std::size_t max_bytes) {
  std::size_t texts = 0;
  for (auto& part : message["parts"].as_array())
    if (type_of(part) == "text" || type_of(part) == "tool_result" || type_of(part) == "tool_call")
      ++texts;
  if (texts == 0) return message;
  const std::size_t each = std::max<std::size_t>(200, max_bytes / texts / 2);
  for (auto& part : message["parts"].as_array()) {
    auto* object = part.if_object();
    if (!object) continue;
    if (type_of(part) == "tool_call") {  // what is left must be valid arguments
      if (const auto bytes = text_or(*object, "arguments").size(); bytes > each)
        (*object)["arguments"] =
            R"({"left_out":")" + std::to_string(bytes) + R"( bytes of arguments"})";
      continue;
    }
    const std::string_view key = type_of(part) == "tool_result" ? "output" : "text";
    auto* value = object->if_contains(key);
    if (!value || !value->is_string() || value->get_string().size() <= each) continue;
    const std::string text(value->get_string());
    const auto head = cut_utf8(text, each / 2);
    std::size_t tail = text.size() - each / 2;
    while (tail < text.size() && (static_cast<unsigned char>(text[tail]) & 0xC0) == 0x80) ++tail;
    *value = std::string(head) + "\n[... " + std::to_string(tail - head.size()) +
             " bytes left out: the message is larger than the model's window ...]\n" +
             text.substr(tail);
  }
  return message;
}

struct span {
  std::size_t begin, end;
};

json::object lost_result(const json::object& call) {
  return {{"type", "tool_result"},
          {"id", text_or(call, "id")},
          {"name", text_or(call, "name")},
          {"output", "the result of this call was lost"},
          {"is_error", true}};
}

// Whatever was stored, by whomever: each call gets exactly one result in the message behind it, and
// a result without its call goes.
json::array paired(const json::array& messages) {
  json::array out;
  for (std::size_t at = 0; at < messages.size(); ++at) {
    const auto& message = messages[at].as_object();
    std::vector<const json::object*> calls;
    if (text_or(message, "role") == "assistant")
      for (const auto& part : parts_of(message))
        if (type_of(part) == "tool_call") calls.push_back(&part.get_object());
    if (calls.empty()) {
      if (!is_tool_result(message)) {
        out.push_back(message);
        continue;
      }
      json::object rest = message;
      json::array others;
      for (const auto& part : parts_of(message))
        if (type_of(part) != "tool_result") others.push_back(part);
      if (others.empty()) continue;
      rest["parts"] = std::move(others);
      out.push_back(std::move(rest));
      continue;
    }
    out.push_back(message);
    json::object answer{{"role", "user"}};
    std::vector<bool> used;
    json::array given;
    if (at + 1 < messages.size() && is_tool_result(messages[at + 1].as_object())) {
      answer = messages[++at].as_object();
      given = parts_of(answer);
    }
    used.resize(given.size());
    json::array parts;
    for (const auto* call : calls) {
      const json::value* found = nullptr;
      for (std::size_t i = 0; i < given.size() && !found; ++i) {
        if (used[i] || type_of(given[i]) != "tool_result" ||
            text_or(given[i].get_object(), "id") != text_or(*call, "id"))
          continue;
        used[i] = true;
        found = &given[i];
      }
      parts.push_back(found ? *found : json::value(lost_result(*call)));
    }
    for (const auto& part : given)
      if (type_of(part) != "tool_result") parts.push_back(part);
    answer["parts"] = std::move(parts);
    out.push_back(std::move(answer));
  }
  return out;
}

// Whole rounds of one group: the opening message, then each assistant message with its results.
std::vector<span> rounds_of(const json::array& messages, span group) {
  std::vector<span> out;
  std::size_t at = group.begin;
  while (at < group.end) {
    std::size_t next = at + 1;
    while (next < group.end && is_tool_result(messages[next].as_object())) ++next;
    out.push_back({at, next});
    at = next;
  }
  return out;
}
}  // namespace

bool opens_group(const json::object& message) noexcept {
  return text_or(message, "role") == "user" && !is_tool_result(message);
}

bool is_tool_result(const json::object& message) noexcept {
  if (text_or(message, "role") != "user") return false;
  const auto& parts = parts_of(message);
  return std::any_of(parts.begin(), parts.end(),
                     [](const json::value& part) { return type_of(part) == "tool_result"; });
}

std::vector<open_call> open_calls(const json::array& messages) {
  std::vector<open_call> calls;
  std::set<std::string, std::less<>> answered;
  for (auto at = messages.rbegin(); at != messages.rend(); ++at) {
    const auto* message = at->if_object();
    if (!message) continue;
    for (const auto& part : parts_of(*message))
      if (type_of(part) == "tool_result") answered.emplace(text_or(part.get_object(), "id"));
    if (text_or(*message, "role") != "assistant") continue;
    for (const auto& part : parts_of(*message)) {
      if (type_of(part) != "tool_call") continue;
      const auto& object = part.get_object();
      if (!answered.contains(text_or(object, "id")))
        calls.push_back({std::string(text_or(object, "id")), std::string(text_or(object, "name"))});
    }
    break;
  }
  return calls;
}

json::object repair_message(const std::vector<open_call>& calls, const json::object& known,
                            std::int64_t now_ms) {
  json::array parts;
  for (const auto& call : calls) {
    json::object part{{"type", "tool_result"}, {"id", call.id}, {"name", call.name}};
    if (const auto* found = find(known, call.id); found && found->is_object()) {
      const auto& result = found->get_object();
      const bool success = bool_or(result, "success", true);
      part["output"] = text_or(result, "output");
      if (!success && !text_or(result, "error").empty())
        part["output"] =
            std::string(text_or(result, "error")) + "\n" + std::string(text_or(result, "output"));
      part["is_error"] = !success;
    } else {
      part["output"] =
          "interrupted, effect unknown: the program ended while this call was running. Check what "
          "it "
          "did before you repeat it.";
      part["is_error"] = true;
    }
    parts.push_back(std::move(part));
  }
  return {{"role", "user"},
          {"parts", std::move(parts)},
          {"created_at_ms", now_ms},
          {"metadata", {{"synthetic", "repair"}}}};
}

window fit(const json::array& stored, std::size_t max_bytes) {
  window out;
  const auto messages = paired(stored);
  // Group boundaries: every user message that is not a tool result opens one.
  std::vector<span> groups;
  for (std::size_t at = 0; at < messages.size(); ++at) {
    if (opens_group(messages[at].as_object())) {
      groups.push_back({at, at + 1});
    } else if (!groups.empty()) {
      groups.back().end = at + 1;
    }
  }
  if (groups.empty()) {
    out.dropped = static_cast<std::int64_t>(messages.size());
    return out;
  }

  std::vector<std::size_t> bytes(messages.size());
  for (std::size_t at = groups.front().begin; at < messages.size(); ++at)
    bytes[at] = bytes_of(messages[at]);
  const auto sum = [&](span part) {
    std::size_t total = 0;
    for (std::size_t at = part.begin; at < part.end; ++at) total += bytes[at];
    return total;
  };

  std::size_t used = 0;
  std::size_t first = groups.size();
  while (first > 0 && used + sum(groups[first - 1]) <= max_bytes) used += sum(groups[--first]);
  if (first < groups.size()) {
    for (std::size_t at = groups[first].begin; at < messages.size(); ++at)
      out.messages.push_back(messages[at]);
    out.dropped = static_cast<std::int64_t>(groups[first].begin);
    return out;
  }

  // Even the newest group is too large: keep its opening message and its newest rounds.
  const auto rounds = rounds_of(messages, groups.back());
  std::size_t opening = bytes[rounds.front().begin];
  const bool shorten_opening = opening > max_bytes / 2;
  auto head = messages[rounds.front().begin].as_object();
  if (shorten_opening) {
    head = shorten(std::move(head), max_bytes / 2);
    opening = bytes_of(head);
  }
  used = opening;
  std::size_t keep = rounds.size();
  while (keep > 1 && used + sum(rounds[keep - 1]) <= max_bytes) used += sum(rounds[--keep]);
  out.messages.push_back(head);
  if (keep == rounds.size() && rounds.size() > 1) {
    // Not one round fits: the newest goes in shortened, its messages sharing what is left.
    const auto last = rounds.back();
    const auto share =
        (max_bytes > opening ? max_bytes - opening : max_bytes / 2) / (last.end - last.begin);
    for (std::size_t at = last.begin; at < last.end; ++at)
      out.messages.push_back(shorten(messages[at].as_object(), share));
    keep = rounds.size() - 1;
  } else {
    for (std::size_t at = keep < rounds.size() ? rounds[keep].begin : messages.size();
         at < messages.size(); ++at)
      out.messages.push_back(messages[at]);
  }
  out.dropped = static_cast<std::int64_t>(messages.size() - out.messages.size());
  return out;
}
}  // namespace rustic::conversation
