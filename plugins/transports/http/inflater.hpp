// Removes gzip and deflate content encodings, a bounded piece at a time.
#pragma once
#include <cstddef>
#include <memory>
#include <string_view>

namespace rustic::http {

enum class content_coding { identity, gzip, deflate, unknown };

// The value of a Content-Encoding header; several codings at once are unknown.
content_coding coding_of(std::string_view value);

constexpr bool removable(content_coding coding) {
  return coding == content_coding::gzip || coding == content_coding::deflate;
}

class inflater {
 public:
  explicit inflater(content_coding coding);  // gzip or deflate
  ~inflater();
  inflater(const inflater&) = delete;
  inflater& operator=(const inflater&) = delete;

  // Takes from the front of `input`, gives up to `capacity` bytes at `out`. Call again until it
  // gives nothing. False: the data is malformed.
  bool step(std::string_view& input, char* out, std::size_t capacity, std::size_t& given);

  // The stream has ended properly, or nothing at all has come.
  bool complete() const;

 private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

}  // namespace rustic::http
