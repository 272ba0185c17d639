#include "connection.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <stdexcept>

#include "limits.hpp"

namespace rustic::fakes {
namespace {

namespace json = boost::json;

std::int64_t now_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return out;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

// Reads the request line and the headers. False: no HTTP.
bool read_head(std::string_view head, received_request& out) {
  const std::size_t line_end = head.find("\r\n");
  const std::string_view line = head.substr(0, line_end);
  const std::size_t method_end = line.find(' ');
  const std::size_t path_end = line.rfind(' ');
  if (method_end == std::string_view::npos || path_end <= method_end) return false;
  if (!line.substr(path_end + 1).starts_with("HTTP/1.")) return false;
  out.method = line.substr(0, method_end);
  out.path = line.substr(method_end + 1, path_end - method_end - 1);
  std::size_t at = line_end;
  while (at != std::string_view::npos) {
    at += 2;
    const std::size_t end = head.find("\r\n", at);
    const std::string_view header = head.substr(at, end - at);
    const std::size_t colon = header.find(':');
    if (colon != std::string_view::npos) {
      out.headers.emplace_back(lower(header.substr(0, colon)), trim(header.substr(colon + 1)));
    }
    at = end;
  }
  return true;
}

std::string_view reason(int status) {
  return status < 300 ? "OK" : status < 400 ? "Redirect" : status < 500 ? "Refused" : "Broken";
}

std::string hex(std::size_t number) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof(text), number, 16).ptr;
  return {text, end};
}

}  // namespace

// A gzip stream that can be read as far as it was written.
class model_server::connection::deflater {
 public:
  deflater() {
    if (deflateInit2(&state_, Z_BEST_SPEED, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
      throw std::runtime_error("fake model: gzip does not start");
    }
  }
  ~deflater() { deflateEnd(&state_); }
  deflater(const deflater&) = delete;
  deflater& operator=(const deflater&) = delete;

  std::string write(std::string_view bytes, bool last) {
    state_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    state_.avail_in = static_cast<uInt>(bytes.size());
    std::string out;
    char space[16384];
    do {
      state_.next_out = reinterpret_cast<Bytef*>(space);
      state_.avail_out = sizeof(space);
      deflate(&state_, last ? Z_FINISH : Z_SYNC_FLUSH);
      out.append(space, sizeof(space) - state_.avail_out);
    } while (state_.avail_out == 0);
    return out;
  }

 private:
  z_stream state_{};
};

model_server::connection::connection(int socket, int stop_event, int release_event)
    : socket_(socket), stop_event_(stop_event), release_event_(release_event) {
  const int on = 1;
  setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

model_server::connection::~connection() {
  close();
}

void model_server::connection::close() {
  if (socket_ >= 0) ::close(socket_);
  socket_ = -1;
}

void model_server::connection::cut_(bool reset) {
  if (reset && socket_ >= 0) {
    const linger now{1, 0};
    setsockopt(socket_, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  }
  close();
}

// gone is told only to who waits for no bytes: a reader sees the end when it reads.
model_server::connection::waited model_server::connection::wait_(int fd, short events,
                                                                 std::int64_t timeout_ms) {
  pollfd waits[] = {{fd, events, 0}, {stop_event_, POLLIN, 0}, {socket_, POLLRDHUP, 0}};
  const bool watch = fd != socket_;
  const std::int64_t until_ns = now_ns() + timeout_ms * 1'000'000;
  for (;;) {
    int left_ms = -1;
    if (timeout_ms >= 0) {
      const std::int64_t left_ns = std::max<std::int64_t>(until_ns - now_ns(), 0);
      left_ms = static_cast<int>((left_ns + 999'999) / 1'000'000);
    }
    const int found = poll(waits, watch ? 3 : 2, left_ms);
    if (found < 0 && errno != EINTR) return waited::gone;
    if ((waits[1].revents & POLLIN) != 0) return waited::stopped;
    if (waits[0].revents != 0) return waited::ready;
    if (watch && waits[2].revents != 0) return waited::gone;
    if (found == 0) return waited::timeout;
  }
}

bool model_server::connection::read_more_() {
  char space[65536];
  for (;;) {
    const ssize_t n = recv(socket_, space, sizeof(space), 0);
    if (n > 0) {
      if (first_byte_ns_ == 0) first_byte_ns_ = now_ns();
      in_.append(space, static_cast<std::size_t>(n));
      return true;
    }
    if (n == 0) return false;
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) return false;
    if (wait_(socket_, POLLIN, -1) != waited::ready) return false;
  }
}

bool model_server::connection::receive(received_request& request) {
  if (socket_ < 0) return false;
  // The beginning of a request that came with the one before.
  first_byte_ns_ = in_.empty() ? 0 : now_ns();
  std::size_t end = 0;
  while ((end = in_.find("\r\n\r\n")) == std::string::npos) {
    if (in_.size() > limits::head_bytes_max || !read_more_()) return false;
  }
  if (!read_head(std::string_view(in_).substr(0, end), request)) {
    send_(request, "HTTP/1.1 400 Refused\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", 0);
    return false;
  }
  request.received_first_ns = first_byte_ns_;
  if (lower(request.header("expect")) == "100-continue") {
    if (!send_(request, "HTTP/1.1 100 Continue\r\n\r\n", 0)) return false;
  }
  if (!read_body_(request, end + 4)) return false;
  request.received_last_ns = now_ns();
  request.sent_first_ns = 0;
  return true;
}

bool model_server::connection::read_body_(received_request& request, std::size_t begin) {
  if (lower(request.header("transfer-encoding")) == "chunked") return read_chunked_(request, begin);
  std::size_t size = 0;
  const std::string_view length = request.header("content-length");
  if (!length.empty()) {
    const auto [end, problem] = std::from_chars(length.data(), length.data() + length.size(), size);
    if (problem != std::errc{} || end != length.data() + length.size()) return false;
  }
  if (size > limits::body_bytes_max) return false;
  in_.reserve(begin + size);
  while (in_.size() < begin + size) {
    if (!read_more_()) return false;
  }
  request.body = in_.substr(begin, size);
  in_.erase(0, begin + size);
  return true;
}

bool model_server::connection::read_chunked_(received_request& request, std::size_t begin) {
  in_.erase(0, begin);
  for (;;) {
    std::size_t line_end = 0;
    while ((line_end = in_.find("\r\n")) == std::string::npos) {
      if (in_.size() > limits::head_bytes_max || !read_more_()) return false;
    }
    std::size_t size = 0;
    const auto [end, problem] = std::from_chars(in_.data(), in_.data() + line_end, size, 16);
    if (problem != std::errc{} || request.body.size() + size > limits::body_bytes_max) return false;
    while (in_.size() < line_end + 2 + size + 2) {
      if (!read_more_()) return false;
    }
    request.body.append(in_, line_end + 2, size);
    in_.erase(0, line_end + 2 + size + 2);
    if (size == 0) return true;
  }
}

bool model_server::connection::send_(received_request& request, std::string_view bytes,
                                     std::size_t write_bytes) {
  while (!bytes.empty()) {
    if (request.sent_first_ns == 0) request.sent_first_ns = now_ns();
    const std::size_t most = write_bytes == 0 ? bytes.size() : std::min(write_bytes, bytes.size());
    const ssize_t n = send(socket_, bytes.data(), most, MSG_NOSIGNAL);
    if (n > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(n));
      continue;
    }
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      if (wait_(socket_, POLLOUT, -1) == waited::ready) continue;
      return false;
    }
    request.client_gone = true;
    return false;
  }
  return true;
}

bool model_server::connection::stall_(received_request& request) {
  for (;;) {
    const waited what = wait_(release_event_, POLLIN, -1);
    if (what == waited::gone) request.client_gone = true;
    if (what != waited::ready) return false;
    // Of the stalled answers one takes each release.
    std::uint64_t one = 0;
    if (read(release_event_, &one, sizeof(one)) == sizeof(one)) return true;
  }
}

bool model_server::connection::pause_(received_request& request, std::int64_t ms) {
  if (ms <= 0) return true;
  // The stop event is watched as what is waited for: it never becomes ready before the stop.
  const waited what = wait_(stop_event_, 0, ms);
  if (what == waited::gone) request.client_gone = true;
  return what == waited::timeout;
}

bool model_server::connection::answer(received_request& request, const step& one) {
  rendered what = render(one, request.number, request.body);
  request.status = what.status;
  if (!pause_(request, one.delay_ms)) return false;
  if (one.stall_before_head && !stall_(request)) return false;

  // Answers that are not sent piece by piece are one write.
  const bool by_piece = what.stream && (one.piece_delay_ms > 0 || one.stall_after_events);
  if (!by_piece && what.pieces.size() > 1) {
    std::string all;
    for (const std::string& piece : what.pieces) all += piece;
    what.pieces.assign(1, std::move(all));
  }
  if (one.gzip) {
    deflater gzip;
    for (std::size_t i = 0; i < what.pieces.size(); ++i) {
      what.pieces[i] = gzip.write(what.pieces[i], i + 1 == what.pieces.size());
    }
  }
  const bool no_body = request.method == "HEAD" || what.status == 204 || what.status == 304;
  const framing frame = what.stream                         ? one.frame
                        : one.frame == framing::until_close ? framing::until_close
                                                            : framing::length;
  const bool keep =
      !one.close && frame != framing::until_close && lower(request.header("connection")) != "close";
  std::size_t size = 0;
  for (const std::string& piece : what.pieces) size += piece.size();

  std::string out =
      "HTTP/1.1 " + std::to_string(what.status) + " " + std::string(reason(what.status)) + "\r\n";
  if (what.content_type != "none") out += "Content-Type: " + what.content_type + "\r\n";
  if (one.gzip) out += "Content-Encoding: gzip\r\n";
  if (frame == framing::chunked) out += "Transfer-Encoding: chunked\r\n";
  if (frame == framing::length) out += "Content-Length: " + std::to_string(size) + "\r\n";
  if (!keep) out += "Connection: close\r\n";
  for (const auto& [name, value] : one.headers) out += name + ": " + value + "\r\n";
  out += "\r\n";

  std::size_t sent = 0;
  std::size_t events = 0;
  const auto flush = [&] {
    const bool fine = send_(request, out, one.write_bytes);
    out.clear();
    if (fine) request.body_bytes_sent = sent;
    return fine;
  };
  for (const std::string& piece : what.pieces) {
    if (no_body) break;
    if (one.stall_after_events == events) {
      if (!flush() || !stall_(request)) return false;
    }
    std::string_view bytes = piece;
    const bool cut = one.cut_after_bytes && sent + bytes.size() > *one.cut_after_bytes;
    if (cut) bytes = bytes.substr(0, *one.cut_after_bytes - sent);
    sent += bytes.size();
    if (!bytes.empty()) {
      if (frame == framing::chunked) out.append(hex(piece.size())).append("\r\n");
      out += bytes;
      if (frame == framing::chunked && !cut) out += "\r\n";
    }
    ++events;
    if (cut) {
      request.done = flush();
      request.sent_last_ns = now_ns();
      cut_(one.reset);
      return false;
    }
    if (by_piece) {
      if (!flush() || !pause_(request, one.piece_delay_ms)) return false;
    }
  }
  if (frame == framing::chunked && !no_body) out += "0\r\n\r\n";
  const bool fine = flush();
  request.sent_last_ns = now_ns();
  request.done = fine;
  if (!fine) return false;
  if (one.reset && one.cut_after_bytes) cut_(true);
  return keep && socket_ >= 0;
}

bool model_server::connection::answer_plain(received_request& request, std::string_view body,
                                            int status) {
  step one;
  one.status = status;
  one.body = body;
  return answer(request, one);
}

bool model_server::connection::answer_otherwise(received_request& request,
                                                const json::array& models) {
  const std::string_view path = std::string_view(request.path).substr(0, request.path.find('?'));
  if (path.ends_with("/models")) {
    json::array list = models;
    if (list.empty()) {
      list.push_back(
          json::object{{"id", "fake-model"}, {"object", "model"}, {"context_window", 128'000}});
    }
    return answer_plain(
        request, json::serialize(json::object{{"object", "list"}, {"data", std::move(list)}}));
  }
  if (path.ends_with("/embeddings")) {
    boost::system::error_code problem;
    const json::value body = json::parse(request.body, problem);
    json::array data;
    const json::value* input =
        problem || !body.is_object() ? nullptr : body.as_object().if_contains("input");
    const std::size_t count = input == nullptr    ? 0
                              : input->is_array() ? input->as_array().size()
                                                  : 1;
    for (std::size_t i = 0; i < count; ++i) {
      const double place = static_cast<double>(i);
      data.push_back(json::object{{"index", i}, {"embedding", json::array{place, 0.5, -0.25}}});
    }
    return answer_plain(
        request, json::serialize(json::object{{"data", std::move(data)},
                                              {"usage", json::object{{"prompt_tokens", count}}}}));
  }
  if (path.ends_with("/chat/completions")) {
    return answer_plain(
        request,
        R"({"error":{"message":"the script of the fake model is over","type":"server_error"}})",
        500);
  }
  return answer_plain(request, R"({"error":{"message":"no such path","code":404}})", 404);
}

}  // namespace rustic::fakes
