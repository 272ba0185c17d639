// Dotted keys: "providers.local.model", `agents."my agent".tools`, "permissions.rules[0].tool".
#pragma once
#include <optional>
#include <rustic/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace rustic::config {
// The text of `key` inside the table at `base` ("" is the root); quoted where it has to be.
std::string join(std::string_view base, std::string_view key);
std::string join(std::string_view base, std::size_t index);

// One step: a member's name, or an item's index.
struct key_step {
  std::string name;
  std::optional<std::size_t> index;
};
// Throws failure(INVALID_ARGUMENT) when the text is no dotted key.
std::vector<key_step> split_key(std::string_view text);
// The canonical spelling, as join() makes it.
std::string join_all(const std::vector<key_step>& steps);

// The value there, or null.
const json::value* value_at(const json::value& root, const std::vector<key_step>& steps);
// "a.b" of "a.b.c" and of "a.b[0]"; "" of "a".
std::string_view parent_key(std::string_view key);
}  // namespace rustic::config
