// Servers repeat the key that they refuse in their error message: it goes no further than here.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace rustic::http {

// Hides a request's own secrets in the body of its answer, however the pieces split them. Only in
// answers that are errors: the words of an answer proper are nobody's to change.
// Threads: one at a time.
class secret_mask {
 public:
  // One shorter than limits::hidden_secret_bytes_min stays: it would garble words.
  void hide(std::string secret);
  void status(int http_status) noexcept { on_ = http_status >= 400 && !secrets_.empty(); }

  // What may go on of this piece, each secret in it as so many asterisks; valid until the next
  // call. An end that may begin a secret waits for what follows.
  std::string_view pass(std::string_view piece);
  // What still waits at the end of the answer.
  std::string rest();

 private:
  std::size_t begun(std::string_view text) const;

  std::vector<std::string> secrets_;
  std::string text_, held_;
  bool on_ = false;
};

}  // namespace rustic::http
