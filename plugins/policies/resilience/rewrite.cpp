#include "rewrite.hpp"

#include <algorithm>

#include "limits.hpp"

namespace rustic::resilience {
namespace {

// Reasoning is of no use to another model, and its signature is refused there; of other parts only
// the signature goes.
void drop_foreign(json::array& parts, const target& to) {
  json::array kept;
  kept.reserve(parts.size());
  for (auto& part : parts) {
    auto* object = part.if_object();
    const auto* owner = object ? find(*object, "provider") : nullptr;
    const bool foreign =
        object && (owner ? *owner != json::value(to.provider) : object->contains("opaque"));
    if (foreign) {
      if (text_or(*object, "type") == "reasoning") continue;
      object->erase("opaque");
      object->erase("provider");
    }
    kept.push_back(std::move(part));
  }
  parts = std::move(kept);
}

std::size_t text_bytes(const json::array& parts) {
  std::size_t out = 0;
  for (const auto& part : parts)
    if (const auto* object = part.if_object())
      for (const auto* key : {"text", "arguments", "output"}) out += text_or(*object, key).size();
  return out;
}
}  // namespace

rewritten rewrite(std::string_view body, const target& to) {
  auto request = parse_object(body, "generate");
  if (to.model.empty())
    request.erase("model");
  else
    request["model"] = to.model;
  std::size_t bytes = 0;
  if (auto* messages = request.if_contains("messages"); messages && messages->is_array()) {
    json::array kept;
    kept.reserve(messages->get_array().size());
    for (auto& message : messages->get_array()) {
      auto* object = message.if_object();
      auto* parts = object ? object->if_contains("parts") : nullptr;
      if (parts && parts->is_array()) {
        const bool had_some = !parts->get_array().empty();
        drop_foreign(parts->get_array(), to);
        if (had_some && parts->get_array().empty()) continue;
        bytes += text_bytes(parts->get_array());
      }
      kept.push_back(std::move(message));
    }
    *messages = std::move(kept);
  }
  if (auto* options = request.if_contains("options");
      options && options->is_object() && to.window_tokens > 0)
    if (const auto most = int_or(options->get_object(), "max_tokens"); most > to.window_tokens / 2)
      options->get_object()["max_tokens"] = std::max<std::int64_t>(to.window_tokens / 2, 1);
  return {json::serialize(request), static_cast<std::int64_t>(bytes) / bytes_per_token};
}

std::string signed_by(std::string_view result, const target* by, json::array spent) {
  auto object = parse_object(result, "result");
  if (by) {
    object["provider"] = to_utf8(by->provider);
    object["asked_model"] = to_utf8(by->model);
  }
  if (!spent.empty()) object["spent"] = std::move(spent);
  return json::serialize(object);
}
}  // namespace rustic::resilience
