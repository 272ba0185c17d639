// exchange.hpp - one HTTP answer of a chat server, fed with what rustic.http reports about it.
#pragma once
#include <cstdint>
#include <optional>
#include <rustic/status.hpp>
#include <string>
#include <string_view>

#include "chat_error.hpp"
#include "chat_stream.hpp"

namespace rustic::openai {

// head once, data for each piece, end once. No threads: whoever calls has it alone.
class exchange {
public:
  // For the answer to a generate request. The views of `about` are borrowed.
  exchange(const subject& about, std::uint64_t id_seed) : about_(about) {
    chat_.emplace(about, id_seed);
  }
  // For an answer that is read as a whole.
  explicit exchange(const subject& about) : about_(about) {}

  void head(std::uint64_t http_status, std::string_view head_text);
  // False: an error has been found, the rest is not wanted.
  bool data(std::string_view bytes);
  // transport: why the request failed, or null when the answer came to its end.
  void end(const error* transport);

  event_batch& events() { return chat_ ? chat_->events() : none_; }
  const std::optional<error>& problem() const { return problem_; }
  // After end without a problem.
  std::string chat_result() { return chat_->result(); }
  const std::string& body() const { return body_; }

  // Whether the server refused the request because of its member `field`.
  bool refused_member(std::string_view field) const {
    return refuses_member(http_status_, body_, field);
  }

private:
  bool good_() const { return http_status_ >= 200 && http_status_ < 300; }

  subject about_;
  std::optional<chat_stream> chat_;
  event_batch none_;
  std::optional<error> problem_;
  header_list headers_;
  std::string body_;
  int http_status_ = 0;
};

}  // namespace rustic::openai
