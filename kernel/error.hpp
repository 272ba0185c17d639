// How the kernel says what went wrong: bodies of errors, results of its own functions, names.
#pragma once
#include <rustic/abi.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace rustic::kernel {

inline std::string_view view(rai_str text) noexcept {
  return text.len == 0 ? std::string_view{} : std::string_view{text.ptr, text.len};
}
inline rai_str str(std::string_view text) noexcept {
  return {text.data(), text.size()};
}

/// The result of a change to the registry.
struct [[nodiscard]] outcome {
  rai_status status = RAI_OK;
  std::string message;           // what failed, of what, and why
  std::uint64_t generation = 0;  // of the binding that was made
  std::uint64_t replaced = 0;    // of the one that was taken away, to be drained; 0: there was none
  bool ok() const noexcept { return status == RAI_OK; }
};

/// {"message", "hint"?, "details"?} as JSON text. `details` is JSON already, or empty.
std::string error_body(std::string_view message, std::string_view hint = {},
                       std::string_view details = {});

/// Does `name` match? "a/b" and "a.b" match themselves, "a/*" and "a.*" what begins with "a/" and
/// "a.", "*" everything. A star elsewhere is an ordinary character.
inline bool matches(std::string_view pattern, std::string_view name) noexcept {
  if (pattern.empty() || pattern.back() != '*') return pattern == name;
  pattern.remove_suffix(1);
  return name.substr(0, pattern.size()) == pattern;
}

/// Is this pattern one of the three forms?
bool valid_pattern(std::string_view pattern) noexcept;

/// Edits that turn one text into the other, or `limit` when there are at least as many.
std::size_t edit_distance(std::string_view a, std::string_view b, std::size_t limit);

}  // namespace rustic::kernel
