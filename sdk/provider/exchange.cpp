#include "exchange.hpp"

#include <algorithm>
#include <rustic/provider/limits.hpp>

namespace rustic::provider {

void exchange::head(std::uint64_t http_status, std::string_view head_text) {
  http_status_ = static_cast<int>(std::min<std::uint64_t>(http_status, 999));
  if (!good_()) headers_ = read_headers(head_text);
}

bool exchange::data(std::string_view bytes) {
  if (good_() && reader_) return reader_->feed(bytes);
  const std::size_t most = good_() ? limits::whole_body_bytes_max : limits::error_body_bytes_max;
  if (body_.size() + bytes.size() > most) {
    if (!good_()) {
      // The beginning tells enough.
      body_.append(bytes.substr(0, most - body_.size()));
      return false;
    }
    problem_ = too_large_answer(about_);
    return false;
  }
  body_ += bytes;
  return true;
}

void exchange::end(const error* transport) {
  if (problem_) return;
  std::optional<error> named;
  if (transport != nullptr) named = read_transport_error(about_, *transport);
  if (http_status_ == 0) {
    problem_ = named ? *named : unreadable_answer(about_, "the server gave no answer", {});
  } else if (!good_()) {
    const bool stopped = transport != nullptr && transport->code == status_code::cancelled &&
                         body_.size() < limits::error_body_bytes_max;
    // What came of the error is worth more than why its end did not come.
    problem_ = stopped ? *named : read_http_error(about_, http_status_, headers_, body_);
  } else if (reader_) {
    reader_->end(named ? &*named : nullptr);
    problem_ = reader_->problem();
  } else if (named) {
    problem_ = *named;
  }
}

}  // namespace rustic::provider
