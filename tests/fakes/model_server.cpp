#include "model_server.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <stdexcept>

#include "connection.hpp"
#include "limits.hpp"

namespace rustic::fakes {
namespace {

namespace json = boost::json;

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error("fake model: " + what + ": " + std::strerror(errno));
}

std::string json_line(const received_request& one) {
  json::array headers;
  for (const auto& [name, value] : one.headers) headers.push_back(json::array{name, value});
  json::object out{{"number", one.number},
                   {"connection", one.connection},
                   {"method", one.method},
                   {"path", one.path},
                   {"headers", std::move(headers)},
                   {"status", one.status},
                   {"received_first_ns", one.received_first_ns},
                   {"received_last_ns", one.received_last_ns},
                   {"sent_first_ns", one.sent_first_ns},
                   {"sent_last_ns", one.sent_last_ns},
                   {"body_bytes_sent", one.body_bytes_sent},
                   {"done", one.done},
                   {"client_gone", one.client_gone}};
  boost::system::error_code problem;
  json::value body = json::parse(one.body, problem);
  if (problem) body = json::string(one.body);
  out["body"] = std::move(body);
  return json::serialize(out);
}

}  // namespace

std::string_view received_request::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return {};
}

json::object received_request::json() const {
  return json::parse(body).as_object();
}

struct model_server::running {
  std::thread thread;
  std::atomic<bool> over{false};
};

model_server::model_server(script what, options how)
    : options_(std::move(how)), script_(std::move(what)), used_(script_.steps.size(), 0) {
  stop_event_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  release_event_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE);
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (stop_event_ < 0 || release_event_ < 0 || listener_ < 0) fail("cannot make a socket");
  const int on = 1;
  setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(options_.port);
  socklen_t size = sizeof(address);
  if (bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      listen(listener_, SOMAXCONN) != 0 ||
      getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    fail("cannot listen on port " + std::to_string(options_.port));
  }
  port_ = ntohs(address.sin_port);
  if (!options_.requests_file.empty()) {
    log_ = open(options_.requests_file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (log_ < 0) fail("cannot write " + options_.requests_file);
  }
  acceptor_ = std::thread([this] { accept_(); });
}

model_server::~model_server() {
  stop();
  for (const int fd : {listener_, stop_event_, release_event_, log_}) {
    if (fd >= 0) close(fd);
  }
}

void model_server::stop() {
  {
    const std::scoped_lock lock(mutex_);
    if (stopped_) return;
    stopped_ = true;
  }
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(stop_event_, &one, sizeof(one));
  acceptor_.join();
  reap_(true);
}

void model_server::accept_() {
  std::size_t number = 0;
  for (;;) {
    pollfd waits[] = {{listener_, POLLIN, 0}, {stop_event_, POLLIN, 0}};
    if (poll(waits, 2, -1) < 0 && errno != EINTR) return;
    if ((waits[1].revents & POLLIN) != 0) return;
    if ((waits[0].revents & POLLIN) == 0) continue;
    const int socket = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    reap_(false);
    if (socket < 0) continue;
    auto made = std::make_unique<running>();
    running* mine = made.get();
    {
      const std::scoped_lock lock(mutex_);
      if (running_.size() >= limits::connections_max) {
        close(socket);
        continue;
      }
      running_.push_back(std::move(made));
    }
    mine->thread = std::thread([this, mine, socket, number] {
      serve_(socket, number);
      mine->over = true;
    });
    ++number;
  }
}

void model_server::serve_(int socket, std::size_t number) {
  connection talk(socket, stop_event_, release_event_);
  for (;;) {
    received_request request;
    request.connection = number;
    if (!talk.receive(request)) return;
    bool keep = false;
    if (request.path == "/__release") {
      release();
      keep = talk.answer_plain(request, "{}");
    } else if (request.path == "/__requests") {
      keep = talk.answer_plain(request, records_json_());
    } else {
      request.number = record_(request);
      try {
        const std::optional<step> one = next_step_(request);
        keep = one ? talk.answer(request, *one) : talk.answer_otherwise(request, script_.models);
      } catch (const std::exception& problem) {
        keep = talk.answer_plain(request, problem.what(), 500);
      }
      finished_(request);
    }
    if (!keep) return;
  }
}

void model_server::reap_(bool all) {
  std::list<std::unique_ptr<running>> over;
  {
    const std::scoped_lock lock(mutex_);
    for (auto at = running_.begin(); at != running_.end();) {
      const auto next = std::next(at);
      if (all || (*at)->over) over.splice(over.end(), running_, at);
      at = next;
    }
  }
  for (const auto& one : over) one->thread.join();
}

void model_server::add(step one) {
  const std::scoped_lock lock(mutex_);
  script_.steps.push_back(std::move(one));
  used_.push_back(0);
}

void model_server::answer_with(
    std::function<std::optional<step>(const received_request&)> function) {
  const std::scoped_lock lock(mutex_);
  function_ = std::move(function);
}

std::optional<step> model_server::next_step_(const received_request& request) {
  std::function<std::optional<step>(const received_request&)> function;
  {
    const std::scoped_lock lock(mutex_);
    function = function_;
  }
  if (function) {
    if (auto one = function(request)) return one;
  }
  const std::string_view path = std::string_view(request.path).substr(0, request.path.find('?'));
  const std::scoped_lock lock(mutex_);
  for (std::size_t i = 0; i < script_.steps.size(); ++i) {
    const step& one = script_.steps[i];
    if (one.times != 0 && used_[i] >= one.times) continue;
    if (!path.ends_with(one.path)) continue;
    if (!one.match.empty() && request.body.find(one.match) == std::string::npos) continue;
    ++used_[i];
    return one;
  }
  return std::nullopt;
}

std::size_t model_server::record_(received_request request) {
  const std::scoped_lock lock(mutex_);
  const std::size_t number = records_.size();
  if (number >= limits::records_max) return number;
  recorded_bytes_ += request.body.size();
  if (!options_.keep_bodies || recorded_bytes_ > limits::recorded_bytes_max) request.body.clear();
  request.number = number;
  records_.push_back(std::move(request));
  changed_.notify_all();
  return number;
}

void model_server::finished_(const received_request& request) {
  const std::scoped_lock lock(mutex_);
  if (request.number >= records_.size()) return;
  received_request& mine = records_[request.number];
  mine.sent_first_ns = request.sent_first_ns;
  mine.sent_last_ns = request.sent_last_ns;
  mine.body_bytes_sent = request.body_bytes_sent;
  mine.status = request.status;
  mine.done = request.done;
  mine.client_gone = request.client_gone;
  if (log_ >= 0) {
    const std::string line = json_line(mine) + "\n";
    std::string_view rest = line;
    while (!rest.empty()) {
      const ssize_t n = write(log_, rest.data(), rest.size());
      if (n <= 0) break;
      rest.remove_prefix(static_cast<std::size_t>(n));
    }
  }
  changed_.notify_all();
}

std::string model_server::records_json_() const {
  std::string out = "[";
  for (const received_request& one : requests()) {
    if (out.size() > 1) out += ",";
    out += json_line(one);
  }
  return out + "]";
}

std::vector<received_request> model_server::requests() const {
  const std::scoped_lock lock(mutex_);
  return records_;
}

bool model_server::wait(const std::function<bool(const std::vector<received_request>&)>& condition,
                        std::int64_t timeout_ms) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::milliseconds(timeout_ms),
                           [&] { return condition(records_); });
}

bool model_server::wait_for_requests(std::size_t count, std::int64_t timeout_ms) const {
  return wait([count](const auto& records) { return records.size() >= count; }, timeout_ms);
}

bool model_server::wait_until_done(std::size_t count, std::int64_t timeout_ms) const {
  return wait(
      [count](const auto& records) {
        return std::count_if(records.begin(), records.end(), [](const received_request& one) {
                 return one.done || one.client_gone;
               }) >= static_cast<std::ptrdiff_t>(count);
      },
      timeout_ms);
}

void model_server::release(std::size_t count) {
  const std::uint64_t more = count;
  [[maybe_unused]] const ssize_t written = write(release_event_, &more, sizeof(more));
}

}  // namespace rustic::fakes
