// plugins/engines/agent/turn_text.hpp - the texts of a turn: dates, shortened outputs, titles, raw
// output as UTF-8.
#pragma once
#include <cstdint>
#include <rustic/json.hpp>
#include <string>
#include <string_view>
#include <utility>

namespace rustic::agent {

// 2026-01-31, in UTC.
std::string day_of(std::int64_t unix_ms);

// The beginning and the end of a text that is too long, and how much is missing between them.
std::string bounded(std::string text, std::size_t bytes);

// The texts among the parts of a message, one after the other.
std::string text_of(const json::array& parts);

// A tool's name as every provider takes it back: ^[a-zA-Z0-9_-]{1,64}$. What a model made up may be
// anything, and a request that repeats it would be refused from then on.
std::string tool_name(std::string_view name);

// For a title: shortened to 80 bytes.
std::string first_line(std::string_view text);

// Raw output that comes in pieces, as UTF-8: a code point that is split between two pieces stays
// whole.
class text_decoder {
 public:
  std::string decode(std::string_view bytes);
  std::string finish();  // what is left of an unfinished code point, replaced

 private:
  std::string rest_;  // at most 3 bytes
};
}  // namespace rustic::agent
