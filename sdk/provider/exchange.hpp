// exchange.hpp - one HTTP answer, fed with what rustic.http reports about it.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <rustic/provider/answer_reader.hpp>
#include <rustic/provider/errors.hpp>
#include <rustic/status.hpp>
#include <string>
#include <string_view>

namespace rustic::provider {

// head once, data for each piece, end once. No threads: whoever calls has it alone.
class exchange {
 public:
  // For the answer to a generate request. The views of `about` are borrowed.
  exchange(const subject& about, std::unique_ptr<answer_reader> reader)
      : about_(about), reader_(std::move(reader)) {}
  // For an answer that is read as a whole.
  explicit exchange(const subject& about) : about_(about) {}

  void head(std::uint64_t http_status, std::string_view head_text);
  // False: an error has been found, the rest is not wanted.
  bool data(std::string_view bytes);
  // transport: why the request failed, or null when the answer came to its end.
  void end(const error* transport);

  event_batch& events() { return reader_ ? reader_->events() : none_; }
  const std::optional<error>& problem() const { return problem_; }
  // After end without a problem.
  std::string result() const { return reader_->result(); }
  // The whole answer, or what the server said to refuse the request.
  const std::string& body() const { return body_; }
  // 0: no answer came.
  int http_status() const { return http_status_; }
  // Whether the server answered that it will not serve the request.
  bool refused() const { return http_status_ >= 300; }

 private:
  bool good_() const { return http_status_ >= 200 && http_status_ < 300; }

  subject about_;
  std::unique_ptr<answer_reader> reader_;
  event_batch none_;
  std::optional<error> problem_;
  header_list headers_;
  std::string body_;
  int http_status_ = 0;
};

}  // namespace rustic::provider
