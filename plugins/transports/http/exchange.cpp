#include "exchange.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#include "request_head.hpp"

namespace rustic::http {
namespace {

using clock = std::chrono::steady_clock;

// Reads in a row before other requests get their turn.
constexpr int reads_per_turn = 16;
constexpr std::size_t input_bytes_first = 16 * 1024;
constexpr std::size_t input_bytes_max = limits::head_bytes_max + limits::piece_bytes_max;
// A body up to this goes out together with the head.
constexpr std::size_t body_bytes_joined = 64 * 1024;

}  // namespace

exchange::exchange(client_core& core, std::uint64_t id, http_request request,
                   std::shared_ptr<response_sink> sink)
    : core_(core),
      id_(id),
      request_(std::move(request)),
      sink_(std::move(sink)),
      connect_timeout_(request_.connect_timeout.value_or(core.settings.connect_timeout)),
      first_byte_timeout_(request_.first_byte_timeout.value_or(core.settings.first_byte_timeout)),
      idle_timeout_(request_.idle_timeout.value_or(core.settings.idle_timeout)),
      alarm_(core.loop, [this] { wake_up(wake::timed_out); }) {
  for (auto* t : {&connect_timeout_, &first_byte_timeout_, &idle_timeout_}) {
    *t = std::clamp(*t, std::chrono::milliseconds(1), limits::timeout_max);
  }
}

exchange::~exchange() = default;

void exchange::begin() {
  main_.emplace(run());
}

void exchange::cancel() {
  cancelled_ = true;
  wake_up(wake::cancelled);
}

void exchange::resume() {
  paused_ = false;
  wake_up(wake::ready);
}

void exchange::looked_up(resolved answer) {
  resolved_ = std::move(answer);
  wake_up(wake::ready);
}

void exchange::wake_up(wake reason) {
  if (!waiter_) return;
  reason_ = reason;
  std::exchange(waiter_, nullptr).resume();
}

void exchange::wait::await_suspend(std::coroutine_handle<> waiting) {
  self.waiter_ = waiting;
  if (deadline != steady_time::max()) self.alarm_.set(deadline);
}

exchange::wake exchange::wait::await_resume() {
  self.alarm_.clear();
  return self.cancelled_ ? wake::cancelled : std::exchange(self.reason_, wake::ready);
}

exchange::wait exchange::ready_to(connection& c, bool read, bool write, steady_time deadline) {
  c.watch().wait(read, write, [this] { wake_up(wake::ready); });
  return wait{*this, deadline};
}

// Failures. Each returns false, for `co_return fail(...)`.

std::string exchange::peer() const {
  return proxy_ ? "proxy " + proxy_->host_port() : "the server";
}

std::string exchange::subject() const {
  return destination_.host.empty() ? request_.method
                                   : request_.method + " " + destination_.authority();
}

bool exchange::fail(rai_status status, std::string kind, std::string_view cause,
                    std::string_view hint) {
  outcome_.status = status;
  outcome_.kind = std::move(kind);
  outcome_.message = subject() + ": " + std::string(cause);
  outcome_.hint = hint;
  return false;
}

bool exchange::fail_timeout(std::string kind, std::string_view what,
                            std::chrono::milliseconds limit, std::string_view setting) {
  return fail(RAI_DEADLINE_EXCEEDED, std::move(kind),
              std::string(what) + " for " + std::to_string(limit.count()) + " ms",
              "try again, or raise " + std::string(setting));
}

bool exchange::fail_cancelled() {
  return fail(RAI_CANCELLED, {}, "cancelled");
}

// The whole request.

task<bool> exchange::run() {
  try {
    std::string problem;
    if (const auto bad = request_problem(request_)) {
      fail(RAI_INVALID_ARGUMENT, {}, *bad);
    } else if (!parse_url(request_.url, url_strictness::exact, destination_, problem)) {
      fail(RAI_INVALID_ARGUMENT, {}, "the URL cannot be used: " + problem);
    } else if (!destination_.userinfo.empty()) {
      fail(RAI_INVALID_ARGUMENT, {}, "the URL holds credentials",
           "send them in an Authorization header");
    } else {
      verdict v = verdict::redirected;
      while (v == verdict::redirected) v = co_await hop();
    }
  } catch (const std::bad_alloc&) {
    fail(RAI_RESOURCE_EXHAUSTED, {}, "out of memory");
  } catch (const std::exception& e) {
    fail(RAI_INTERNAL, {}, e.what());
  }
  if (outcome_.status != RAI_OK) release_connection(false);
  if (lookup_wanted_) lookup_wanted_->store(false);
  race_.reset();
  sink_->on_finish(outcome_);
  core_.remove(id_);
  co_return true;
}

bool exchange::prepare_hop() {
  outcome_.http_status = 0;
  std::string problem;
  if (!core_.proxies.choose(destination_, proxy_, problem)) {
    return fail(RAI_FAILED_PRECONDITION, "proxy", problem,
                "set it to http://[user:password@]host:port, or name the host in no_proxy");
  }
  key_ = destination_.scheme + "://" + destination_.host_port();
  if (proxy_) key_ += " " + proxy_->host_port() + " " + proxy_->userinfo;
  return true;
}

task<exchange::verdict> exchange::hop() {
  if (!prepare_hop()) co_return verdict::failed;
  const bool placed = co_await obtain_place();
  if (!placed) co_return verdict::failed;
  for (bool fresh = false;; fresh = true) {
    const bool connected = co_await obtain_connection(fresh);
    if (!connected) co_return verdict::failed;
    const verdict v = co_await converse();
    if (v != verdict::stale) co_return v;
    connection_.reset();
  }
}

// Input.

io_result exchange::read_more() {
  if (input_begin_ > 0) {
    std::memmove(input_.data(), input_.data() + input_begin_, input_end_ - input_begin_);
    input_end_ -= input_begin_;
    input_begin_ = 0;
  }
  if (input_end_ == input_.size()) {
    io_result full;
    full.error = "a frame of the answer is too large";
    if (input_.size() >= input_bytes_max) return full;
    input_.resize(std::clamp(input_.size() * 4, input_bytes_first, input_bytes_max));
  }
  const io_result got = connection_->read(
      input_.data() + input_end_, std::min(input_.size() - input_end_, limits::piece_bytes_max));
  if (got.kind == io_result::some) input_end_ += got.bytes;
  return got;
}

// True also when not all was taken, because an answer has begun or the connection broke: reading
// tells which.
task<bool> exchange::send(std::string_view first, std::string_view rest) {
  request_sent_whole_ = false;
  while (!first.empty() || !rest.empty()) {
    std::string_view& now = first.empty() ? rest : first;
    const io_result put = connection_->write(now.data(), now.size());
    if (put.kind == io_result::some) {
      now.remove_prefix(put.bytes);
      continue;
    }
    if (put.kind == io_result::closed || put.kind == io_result::failed) break;
    // A server may answer before it has read everything, and then read no more.
    const io_result early = read_more();
    if (early.kind != io_result::want_read && early.kind != io_result::want_write) break;
    const wake w = co_await ready_to(*connection_, true, put.kind == io_result::want_write,
                                     clock::now() + idle_timeout_);
    if (w == wake::cancelled) co_return fail_cancelled();
    if (w == wake::timed_out) {
      co_return fail_timeout("idle", "the server took none of the request", idle_timeout_,
                             "idle_timeout");
    }
  }
  sent_at_ = clock::now();
  request_sent_whole_ = first.empty() && rest.empty();
  co_return true;
}

// What a connection that broke means.
exchange::verdict exchange::broken(const io_result& got, bool answer_begun) {
  const auto since = clock::now() - sent_at_;
  const bool soon = since < limits::stale_failure_window;
  // Before the first keep-alive probe a time-out can only mean that the request itself was not
  // acknowledged.
  const bool unacknowledged =
      got.error_number == ETIMEDOUT && since < std::chrono::seconds(limits::keepalive_idle_s);
  if (connection_->reused && !answer_begun &&
      (idempotent(request_.method) || soon || unacknowledged)) {
    return verdict::stale;
  }
  if (got.error_number == 0 && got.kind == io_result::failed) {
    fail(RAI_UNAVAILABLE, connection_->tls() ? "tls" : "protocol",
         "reading the answer failed: " + got.error, "try again");
  } else {
    fail(RAI_UNAVAILABLE, "reset",
         "the connection broke " +
             std::string(answer_begun ? "in the middle of the answer" : "before an answer came") +
             (got.error.empty() ? "" : " (" + got.error + ")"),
         "try again");
  }
  return verdict::failed;
}

task<exchange::verdict> exchange::converse() {
  using result = response_decoder::result;
  const bool absolute = proxy_ && !destination_.secure();
  std::string head = request_head(
      {request_, destination_, core_.settings.user_agent, absolute ? &*proxy_ : nullptr});
  const std::size_t joined = std::min(request_.body.size(), body_bytes_joined);
  head.append(request_.body, 0, joined);
  input_begin_ = input_end_ = 0;
  const bool sent = co_await send(head, std::string_view(request_.body).substr(joined));
  if (!sent) co_return verdict::failed;

  response_decoder decoder(request_.method == "HEAD");
  const steady_time first_byte_deadline = clock::now() + first_byte_timeout_;
  bool eof = false;
  for (;;) {
    std::string_view fresh(input_.data() + input_begin_, input_end_ - input_begin_);
    result r = decoder.feed(fresh, payload_);
    input_begin_ = input_end_ - fresh.size();
    if (r == result::head) break;
    if (r == result::more && eof) r = decoder.close();
    if (r == result::failed) {
      if (decoder.truncated()) {
        if (!decoder.started()) co_return broken({io_result::closed, 0, 0, {}}, false);
        fail(RAI_UNAVAILABLE, "truncated", decoder.error(), "try again");
      } else {
        fail(RAI_UNAVAILABLE, "protocol", "the answer cannot be read: " + decoder.error(),
             "check that the URL is right; the server or a proxy before it may be at fault");
      }
      co_return verdict::failed;
    }
    const io_result got = read_more();
    if (got.kind == io_result::some) continue;
    if (got.kind == io_result::failed) co_return broken(got, decoder.started());
    if (got.kind == io_result::closed) {
      eof = true;
      continue;
    }
    const bool begun = decoder.started();
    const wake w = co_await ready_to(*connection_, got.kind == io_result::want_read,
                                     got.kind == io_result::want_write,
                                     begun ? clock::now() + idle_timeout_ : first_byte_deadline);
    if (w == wake::ready) continue;
    if (w == wake::cancelled) {
      fail_cancelled();
    } else if (begun) {
      fail_timeout("idle", "nothing more came of the headers", idle_timeout_, "idle_timeout");
    } else {
      fail_timeout("first_byte", "no answer came", first_byte_timeout_, "first_byte_timeout");
    }
    co_return verdict::failed;
  }

  if (is_redirect(decoder.head())) co_return redirect(decoder);
  outcome_.http_status = decoder.head().status;
  const content_coding coding = coding_of(decoder.head().header("content-encoding"));
  if (!deliver_head(decoder.head(), coding)) co_return verdict::failed;
  co_return co_await receive_body(decoder, coding);
}

bool exchange::is_redirect(const response_head& head) const {
  const int s = head.status;
  return request_.max_redirects > 0 && (s == 301 || s == 302 || s == 303 || s == 307 || s == 308) &&
         !head.header("location").empty();
}

exchange::verdict exchange::redirect(response_decoder& decoder) {
  const int status = decoder.head().status;
  const std::string location(decoder.head().header("location"));
  outcome_.http_status = status;
  url next;
  std::string problem;
  const int most = std::min(request_.max_redirects, limits::redirects_max);
  if (++redirects_ > most) {
    fail(RAI_UNAVAILABLE, "redirect", "more than " + std::to_string(most) + " redirects",
         "check the URL, or raise max_redirects");
    return verdict::failed;
  }
  if (!resolve_location(destination_, location, next, problem)) {
    fail(RAI_UNAVAILABLE, "redirect", "it redirects to a URL that cannot be used: " + problem);
    return verdict::failed;
  }
  follow_redirect(request_, status, destination_, next);
  if (destination_.secure() && !next.secure() && !request_.body.empty()) {
    fail(RAI_UNAVAILABLE, "redirect",
         "it redirects from https to http, which would send the body unprotected",
         "use the URL that the redirect names, if you trust it");
    return verdict::failed;
  }
  // The redirect's own body is passed over when it is here already; otherwise a new connection is
  // cheaper than waiting for it.
  std::string_view left(input_.data() + input_begin_, input_end_ - input_begin_);
  const auto r = decoder.feed(left, payload_);
  payload_.clear();
  release_connection(r == response_decoder::result::done && left.empty() && decoder.keep_alive());
  destination_ = std::move(next);
  return verdict::redirected;
}

// Delivery. False: the request is over, and outcome_ says why unless it was cancelled.

bool exchange::deliver_head(const response_head& head, content_coding coding) {
  std::string final_url;
  if (redirects_ > 0) {
    final_url = destination_.scheme + "://" + destination_.authority() + destination_.target;
  }
  sink_flow flow;
  if (removable(coding)) {
    response_head decoded = head;
    std::erase_if(decoded.headers, [](const auto& h) {
      return h.first == "content-encoding" || h.first == "content-length";
    });
    flow = sink_->on_head(decoded, final_url);
  } else {
    flow = sink_->on_head(head, final_url);
  }
  if (flow == sink_flow::stop) return fail_cancelled();
  paused_ = flow == sink_flow::pause;
  return true;
}

bool exchange::deliver(std::string_view piece) {
  if (request_.max_body_bytes > 0 && outcome_.body_bytes + piece.size() > request_.max_body_bytes) {
    return fail(
        RAI_RESOURCE_EXHAUSTED, "body",
        "the answer's body is larger than " + std::to_string(request_.max_body_bytes) + " bytes",
        "raise max_body_bytes");
  }
  outcome_.body_bytes += piece.size();
  const sink_flow flow = sink_->on_data(piece);
  if (flow == sink_flow::stop) return fail_cancelled();
  paused_ = flow == sink_flow::pause;
  return true;
}

task<exchange::verdict> exchange::receive_body(response_decoder& decoder, content_coding form) {
  using result = response_decoder::result;
  std::unique_ptr<inflater> coding;
  std::string inflated;
  if (removable(form)) {
    coding = std::make_unique<inflater>(form);
    inflated.resize(limits::piece_bytes_max);
  }
  bool eof = false;
  int reads = 0;
  payload_.clear();
  input_.resize(std::max(input_.size(), limits::piece_bytes_max));
  for (;;) {
    while (paused_) {
      const wake w = co_await wait{*this};
      if (w != wake::cancelled) continue;
      fail_cancelled();
      co_return verdict::failed;
    }
    std::string_view fresh(input_.data() + input_begin_, input_end_ - input_begin_);
    result r = decoder.feed(fresh, payload_);
    input_begin_ = input_end_ - fresh.size();
    if (r == result::more && eof) r = decoder.close();

    // Deliver what came even when an error follows it.
    std::string_view left = payload_;
    for (;;) {
      std::string_view piece;
      if (coding) {
        std::size_t given = 0;
        if (!coding->step(left, inflated.data(), inflated.size(), given)) {
          fail(RAI_UNAVAILABLE, "protocol", "the compressed body is malformed", "try again");
          co_return verdict::failed;
        }
        piece = std::string_view(inflated.data(), given);
      } else {
        piece = left.substr(0, limits::piece_bytes_max);
        left.remove_prefix(piece.size());
      }
      if (piece.empty()) break;
      if (!deliver(piece)) co_return verdict::failed;
      while (paused_) {
        const wake w = co_await wait{*this};
        if (w != wake::cancelled) continue;
        fail_cancelled();
        co_return verdict::failed;
      }
    }
    payload_.clear();

    if (r == result::failed) {
      fail(RAI_UNAVAILABLE, decoder.truncated() ? "truncated" : "protocol",
           "the answer's body cannot be read: " + decoder.error(), "try again");
      co_return verdict::failed;
    }
    if (r == result::done) {
      if (coding && !coding->complete()) {
        fail(RAI_UNAVAILABLE, "truncated", "the compressed body ends too early", "try again");
        co_return verdict::failed;
      }
      release_connection(!eof && input_begin_ == input_end_ && decoder.keep_alive());
      co_return verdict::finished;
    }

    const io_result got = read_more();
    if (got.kind == io_result::some) {
      if (++reads % reads_per_turn != 0) continue;
      core_.loop.post([core = &core_, id = id_] { core->wake(id); });
      const wake turn = co_await wait{*this};
      if (turn != wake::cancelled) continue;
      fail_cancelled();
      co_return verdict::failed;
    }
    if (got.kind == io_result::closed) {
      eof = true;
      continue;
    }
    if (got.kind == io_result::failed) co_return broken(got, true);
    reads = 0;
    const wake w =
        co_await ready_to(*connection_, got.kind == io_result::want_read,
                          got.kind == io_result::want_write, clock::now() + idle_timeout_);
    if (w == wake::ready) continue;
    if (w == wake::cancelled) {
      fail_cancelled();
    } else {
      fail_timeout("idle", "nothing more came of the body", idle_timeout_, "idle_timeout");
    }
    co_return verdict::failed;
  }
}

void exchange::release_connection(bool reusable) {
  if (place_wanted_) core_.pool.withdraw(key_, this);
  place_wanted_ = false;
  if (connection_ && reusable && request_sent_whole_) {
    core_.pool.give_back(std::move(connection_));
  }
  connection_.reset();
  if (place_held_) core_.pool.release(key_);
  place_held_ = false;
}

}  // namespace rustic::http
