#include "response_decoder.hpp"

#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <optional>

#include "limits.hpp"

namespace rustic::http {
namespace {

namespace beast = boost::beast;
using beast::string_view;
using error_code = beast::error_code;

std::string lower(string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return out;
}

class parser final : public beast::http::basic_parser<false> {
 public:
  explicit parser(bool bodyless) {
    header_limit(limits::head_bytes_max);
    body_limit(boost::none);
    skip(bodyless);
  }

  response_head head;
  std::string* body = nullptr;
  bool too_many_fields = false;

 private:
  void on_request_impl(beast::http::verb, string_view, string_view, int, error_code&) override {}
  void on_response_impl(int code, string_view, int version, error_code&) override {
    head.status = code;
    head.version = version == 11 ? "1.1" : "1.0";
  }
  void on_field_impl(beast::http::field, string_view name, string_view value,
                     error_code& error) override {
    if (is_header_done()) return;  // a trailer
    if (head.headers.size() >= limits::head_fields_max) {
      too_many_fields = true;
      error = beast::http::error::header_limit;
      return;
    }
    head.headers.emplace_back(lower(name), std::string(value));
  }
  void on_header_impl(error_code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
  std::size_t on_body_impl(string_view piece, error_code&) override {
    body->append(piece.data(), piece.size());
    return piece.size();
  }
  void on_chunk_header_impl(std::uint64_t, string_view extensions, error_code& error) override {
    if (extensions.size() > limits::chunk_frame_bytes_max) {
      error = beast::http::error::bad_chunk_extension;
    }
  }
  std::size_t on_chunk_body_impl(std::uint64_t, string_view piece, error_code&) override {
    body->append(piece.data(), piece.size());
    return piece.size();
  }
  void on_finish_impl(error_code&) override {}
};

}  // namespace

std::string_view response_head::header(std::string_view lower_case_name) const {
  for (const auto& [name, value] : headers) {
    if (name == lower_case_name) return value;
  }
  return {};
}

struct response_decoder::impl {
  explicit impl(bool b) : bodyless(b) { current.emplace(b); }
  const bool bodyless;
  std::optional<parser> current;
  int informational = 0;
  bool started = false;
  bool head_given = false;
  bool truncated = false;
  std::string error;

  result fail(std::string text) {
    error = std::move(text);
    return result::failed;
  }

  // What the parser leaves to us: an answer whose framing we do not implement must not be guessed.
  bool acceptable() {
    const auto& head = current->head;
    if (head.status == 101) {
      error = "it switched protocols without being asked";
      return false;
    }
    bool seen = false;
    for (const auto& [name, value] : head.headers) {
      if (name != "transfer-encoding") continue;
      if (seen || lower(value) != "chunked") {
        error = "its transfer encoding is not supported";
        return false;
      }
      seen = true;
    }
    return true;
  }
};

response_decoder::response_decoder(bool bodyless) : impl_(std::make_unique<impl>(bodyless)) {}

response_decoder::~response_decoder() = default;

response_decoder::result response_decoder::feed(std::string_view& input, std::string& body) {
  impl& s = *impl_;
  if (!input.empty()) s.started = true;
  for (;;) {
    parser& p = *s.current;
    if (p.is_done() && s.head_given) return result::done;
    if (input.empty()) return result::more;
    p.body = &body;
    // The head alone first, so that it can be handed on before the body.
    p.eager(s.head_given);
    error_code error;
    const std::size_t consumed =
        p.put(boost::asio::const_buffer(input.data(), input.size()), error);
    input.remove_prefix(consumed);
    if (error == beast::http::error::need_more) {
      if (!s.head_given && input.size() >= limits::head_bytes_max) {
        return s.fail("its headers are larger than " + std::to_string(limits::head_bytes_max) +
                      " bytes");
      }
      if (s.head_given && input.size() >= limits::chunk_frame_bytes_max) {
        return s.fail("the line before a chunk, or the trailer, is larger than " +
                      std::to_string(limits::chunk_frame_bytes_max) + " bytes");
      }
      return result::more;
    }
    if (error == beast::http::error::header_limit) {
      return s.fail(p.too_many_fields
                        ? "it has more than " + std::to_string(limits::head_fields_max) + " headers"
                        : "its headers are larger than " + std::to_string(limits::head_bytes_max) +
                              " bytes");
    }
    if (error) return s.fail("it is not valid HTTP/1 (" + error.message() + ")");
    if (s.head_given || !p.is_header_done()) continue;
    if (!s.acceptable()) return result::failed;
    if (p.head.status / 100 == 1) {
      if (++s.informational > limits::informational_answers_max) {
        return s.fail("it sent more than " + std::to_string(limits::informational_answers_max) +
                      " interim answers");
      }
      s.current.emplace(s.bodyless);
      continue;
    }
    s.head_given = true;
    return result::head;
  }
}

response_decoder::result response_decoder::close() {
  impl& s = *impl_;
  if (s.head_given) {
    error_code error;
    if (!s.current->is_done()) s.current->put_eof(error);
    if (!error) return result::done;
  }
  s.truncated = true;
  return s.fail(s.head_given ? "the connection was closed before the body was complete"
                : s.started  ? "the connection was closed in the middle of the headers"
                             : "the connection was closed before an answer came");
}

bool response_decoder::started() const {
  return impl_->started;
}
const response_head& response_decoder::head() const {
  return impl_->current->head;
}
bool response_decoder::keep_alive() const {
  return impl_->current->is_done() && impl_->current->keep_alive();
}
bool response_decoder::truncated() const {
  return impl_->truncated;
}
const std::string& response_decoder::error() const {
  return impl_->error;
}

}  // namespace rustic::http
