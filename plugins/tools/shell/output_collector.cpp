#include "output_collector.hpp"

#include <algorithm>
#include <rustic/json.hpp>

namespace rustic::shell {
namespace {

bool continues_code_point(char c) {
  return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U;
}

std::string readable(std::string_view bytes) {
  std::string text = to_utf8(bytes);
  for (auto at = text.find('\0'); at != std::string::npos; at = text.find('\0', at)) {
    text.replace(at, 1, "\xEF\xBF\xBD");
  }
  return text;
}

}  // namespace

void output_collector::append(std::string_view bytes) {
  if (followed_) {
    if (file_) file_->append(bytes);
    return;
  }
  const std::uint64_t before = bytes_;
  bytes_ += bytes.size();
  if (truncated() && !opened_) {
    open_file();
    if (file_ && before > 0) {
      file_->append(head_);
      file_->append(tail_);
    }
  }
  if (file_) file_->append(bytes);
  const std::size_t to_head = std::min(bytes.size(), head_bytes_max_ - head_.size());
  head_.append(bytes.substr(0, to_head));
  bytes.remove_prefix(to_head);
  if (bytes.size() > tail_bytes_max_) bytes.remove_prefix(bytes.size() - tail_bytes_max_);
  if (tail_.size() + bytes.size() > 2 * tail_bytes_max_) {
    const std::size_t kept = std::min(tail_.size(), tail_bytes_max_);
    tail_.erase(0, tail_.size() - kept);
  }
  tail_.append(bytes);
}

void output_collector::open_file() {
  opened_ = true;
  file_ = spill_.create(problem_);
}

void output_collector::follow() {
  followed_ = true;
  if (!opened_) {
    open_file();
    if (file_) {
      file_->append(head_);
      file_->append(tail_);
    }
  }
  head_ = {};
  tail_ = {};
}

std::string_view output_collector::tail() const noexcept {
  const std::string_view all = tail_;
  return all.size() > tail_bytes_max_ ? all.substr(all.size() - tail_bytes_max_) : all;
}

std::string output_collector::text() const {
  if (!truncated()) return readable(head_ + tail_);
  // Neither edge may fall inside a code point. At most three bytes belong to one that began
  // earlier.
  std::size_t head_bytes = head_.size();
  for (int i = 0; i < 3 && head_bytes > 0 && continues_code_point(head_[head_bytes - 1]); ++i) {
    --head_bytes;
  }
  if (head_bytes > 0 && (static_cast<unsigned char>(head_[head_bytes - 1]) & 0xC0U) == 0xC0U) {
    --head_bytes;
  } else {
    head_bytes = head_.size();
  }
  std::string_view end = tail();
  for (int i = 0; i < 3 && !end.empty() && continues_code_point(end.front()); ++i) {
    end.remove_prefix(1);
  }
  std::string where;
  if (!file_) {
    where = "they were not kept: " + problem_;
  } else if (file_->problem().empty()) {
    where = "everything is in " + file_->path();
  } else {
    where = "the first " + std::to_string(file_->bytes()) + " bytes are in " + file_->path() +
            ", the rest was not kept: " + file_->problem();
  }
  std::string result = readable(std::string_view(head_).substr(0, head_bytes));
  result += "\n[" + std::to_string(bytes_ - head_bytes - end.size()) + " bytes left out here; " +
            where + "]\n";
  return result + readable(end);
}

}  // namespace rustic::shell
