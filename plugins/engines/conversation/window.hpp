// plugins/engines/conversation/window.hpp - which messages of a long session a model gets to see,
// and the repair of cut ones.
//
// Pure functions over stored messages ({seq, role, parts, ...}), oldest first.
#pragma once
#include <cstddef>
#include <rustic/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace rustic::conversation {

// A tool call that nobody answered.
struct open_call {
  std::string id;
  std::string name;
};

// The calls of the last assistant message that have no result after it, in their order.
std::vector<open_call> open_calls(const json::array& messages);

// One user message that holds a result for each of the calls. `known` maps a call's id to the
// result that the journal has, a tool's result object.
json::object repair_message(const std::vector<open_call>& calls, const json::object& known,
                            std::int64_t now_ms);

struct window {
  json::array messages;
  std::int64_t dropped = 0;  // messages that are older and were left out
};

// The newest whole groups of `messages` whose JSON fits into max_bytes. A group is a user message
// that is no tool result and everything up to the next one; when even the newest group is too
// large, its oldest call-and-result rounds go. The newest message always stays, shortened if it
// must be. Deterministic: the same messages give the same window. Orphaned results and calls
// without a result never appear in it.
window fit(const json::array& messages, std::size_t max_bytes);

// A user message that is no tool result.
bool opens_group(const json::object& message) noexcept;
bool is_tool_result(const json::object& message) noexcept;
}  // namespace rustic::conversation
