// captured_output.hpp - what a child writes to its standard output and error, as bounded lines; and
// how many lines it may log.
#pragma once
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "limits.hpp"

namespace rustic::cell {

// Not for several threads.
class output_lines {
 public:
  // Calls `each` with every line that is whole; longer ones come in pieces.
  template <class Each>
  void feed(std::string_view bytes, Each&& each) {
    while (!bytes.empty()) {
      const auto end = bytes.find('\n');
      const auto piece = bytes.substr(0, end);
      const auto room = output_line_bytes_max - line_.size();
      line_ += piece.substr(0, room);
      const bool whole = end != std::string_view::npos && piece.size() <= room;
      bytes.remove_prefix(whole ? end + 1 : std::min(piece.size(), room));
      if (whole || line_.size() == output_line_bytes_max) flush(each);
    }
  }
  template <class Each>
  void flush(Each&& each) {
    if (!line_.empty()) each(std::string_view(line_));
    line_.clear();
  }

 private:
  std::string line_;
};

// So much in every second; what is more is counted. Not for several threads.
class rate_limit {
 public:
  explicit rate_limit(std::uint64_t per_s) : per_s_(per_s) {}
  // Room for `wanted` at this time. False: there is none, and it is counted as left out.
  bool take(std::int64_t now_ms, std::uint64_t wanted = 1) {
    refill(now_ms);
    const bool fits = used_ < per_s_;
    (fits ? used_ : left_out_) += wanted;
    return fits;
  }
  // Whether there is room, and when there will be.
  bool open(std::int64_t now_ms) {
    refill(now_ms);
    return used_ < per_s_;
  }
  std::int64_t next_ms() const noexcept { return second_ms_ + 1'000; }
  std::uint64_t take_left_out() noexcept { return std::exchange(left_out_, 0); }

 private:
  void refill(std::int64_t now_ms) {
    if (now_ms >= second_ms_ && now_ms < second_ms_ + 1'000) return;
    second_ms_ = now_ms;
    used_ = 0;
  }
  const std::uint64_t per_s_;
  std::int64_t second_ms_ = -1'000;
  std::uint64_t used_ = 0, left_out_ = 0;
};

}  // namespace rustic::cell
