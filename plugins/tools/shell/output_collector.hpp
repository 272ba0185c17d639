// output_collector.hpp - the output of one command in bounded memory: its head, its tail, and a
// file that holds everything once it is too long for those.
//
// Threads: one owner. Errors: text inside the result.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "spill_directory.hpp"

namespace rustic::shell {

class output_collector {
 public:
  // Keeps bytes_max bytes, half of them from the beginning. The directory outlives this.
  output_collector(std::size_t bytes_max, spill_directory& spill)
      : head_bytes_max_(bytes_max / 2), tail_bytes_max_(bytes_max - bytes_max / 2), spill_(spill) {}

  void append(std::string_view bytes);
  // From now on everything goes to the file, which is made when there is none: output that comes
  // after the result. Call text() first.
  void follow();

  // What a model reads: valid UTF-8 without NUL, with one line in place of what is left out.
  std::string text() const;
  bool truncated() const noexcept { return bytes_ > head_bytes_max_ + tail_bytes_max_; }
  std::uint64_t bytes() const noexcept { return bytes_; }
  // Empty when there is none.
  std::string spill_path() const { return file_ ? file_->path() : std::string(); }

 private:
  void open_file();
  std::string_view tail() const noexcept;

  std::size_t head_bytes_max_;
  std::size_t tail_bytes_max_;
  spill_directory& spill_;
  std::string head_;
  std::string tail_;  // at most twice its bound, trimmed now and then
  std::uint64_t bytes_ = 0;
  bool followed_ = false;
  bool opened_ = false;
  std::unique_ptr<spill_file> file_;
  std::string problem_;
};

}  // namespace rustic::shell
