// How an exchange gets its connection: a place in the pool, look-up, TCP, tunnel, TLS.
#include "exchange.hpp"
#include "request_head.hpp"

namespace rustic::http {
namespace {
using clock = std::chrono::steady_clock;

std::string_view tls_hint(std::string_view problem) {
  const auto about = [&](std::string_view words) {
    return problem.find(words) != std::string_view::npos;
  };
  if (!about("certificate")) return "check that the port speaks TLS";
  if (about("expired") || about("not yet valid"))
    return "check this machine's clock; if it is right, the server needs a new certificate";
  if (about("mismatch")) return "use the host name that the server's certificate is for";
  return "if a company proxy or a private authority signs this server, set ca_file of "
         "[plugin.http] to its certificate";
}
}  // namespace

// Waiting for a place has no time limit of its own: the ones before may be long answers.
task<bool> exchange::obtain_place() {
  place_wanted_ = true;
  place_held_ = core_.pool.acquire(key_, this, [this] {
    place_held_ = true;
    place_wanted_ = false;
    // Not at once: the one who gives its place up is still at work.
    core_.loop.post([core = &core_, id = id_] { core->wake(id); });
  });
  while (!place_held_) {
    const wake w = co_await wait{*this};
    if (w == wake::cancelled) co_return fail_cancelled();
  }
  place_wanted_ = false;
  co_return true;
}

task<bool> exchange::obtain_connection(bool fresh) {
  if (!fresh) connection_ = core_.pool.take(key_);
  if (connection_) co_return true;

  const steady_time deadline = clock::now() + connect_timeout_;
  const url& first = proxy_ ? *proxy_ : destination_;
  resolved answer;
  if (!resolve_at_once(first.host, first.port, answer)) {
    lookup_wanted_ = std::make_shared<std::atomic<bool>>(true);
    resolved_.reset();
    if (!core_.look_up(id_, first.host, first.port, lookup_wanted_)) {
      co_return fail(RAI_RESOURCE_EXHAUSTED, "dns", "too many name look-ups wait",
                     "check the DNS settings and try again");
    }
    while (!resolved_) {
      const wake w = co_await wait{*this, deadline};
      if (w == wake::ready) continue;
      lookup_wanted_->store(false);
      if (w == wake::cancelled) co_return fail_cancelled();
      co_return fail_timeout("connect", "no answer to the look-up of " + first.host,
                             connect_timeout_, "connect_timeout");
    }
    answer = std::move(*resolved_);
  }
  if (answer.addresses.empty()) {
    co_return fail(RAI_UNAVAILABLE, "dns",
                   "the name " + first.host + " cannot be resolved: " + answer.error,
                   "check the host name, the network and the DNS settings");
  }

  race_result_.reset();
  race_ = std::make_unique<connect_race>(core_.loop, std::move(answer.addresses),
                                         [this](connect_race::result r) {
                                           race_result_ = std::move(r);
                                           wake_up(wake::ready);
                                         });
  while (!race_result_) {
    const wake w = co_await wait{*this, deadline};
    if (w == wake::ready) continue;
    race_.reset();
    if (w == wake::cancelled) co_return fail_cancelled();
    co_return fail_timeout("connect", peer() + " did not accept a connection", connect_timeout_,
                           "connect_timeout");
  }
  race_.reset();
  if (race_result_->fd < 0) {
    co_return fail(RAI_UNAVAILABLE, "connect",
                   "cannot connect to " + peer() + " at " + race_result_->error,
                   "check that it runs and that host and port are right");
  }
  connection_ = std::make_unique<connection>(core_.loop, race_result_->fd, key_);
  if (!destination_.secure()) co_return true;
  if (proxy_) {
    const bool open = co_await open_tunnel(deadline);
    if (!open) co_return false;
  }
  co_return co_await begin_tls(deadline);
}

task<bool> exchange::open_tunnel(steady_time deadline) {
  const std::string head = connect_head(destination_, *proxy_, core_.settings.user_agent);
  response_decoder decoder(true);
  std::string_view unsent = head;
  input_begin_ = input_end_ = 0;
  for (;;) {
    io_result got;
    if (!unsent.empty()) {
      got = connection_->write(unsent.data(), unsent.size());
      if (got.kind == io_result::some) {
        unsent.remove_prefix(got.bytes);
        continue;
      }
    } else {
      got = read_more();
      if (got.kind == io_result::some) {
        std::string_view fresh(input_.data() + input_begin_, input_end_ - input_begin_);
        const auto result = decoder.feed(fresh, payload_);
        input_begin_ = input_end_ - fresh.size();
        if (result == response_decoder::result::failed) {
          co_return fail(RAI_UNAVAILABLE, "proxy",
                         peer() + " answered CONNECT, but " + decoder.error(),
                         "check that it is an HTTP proxy");
        }
        if (result == response_decoder::result::more) continue;
        break;
      }
    }
    if (got.kind == io_result::closed || got.kind == io_result::failed) {
      co_return fail(RAI_UNAVAILABLE, "proxy", peer() + " closed the connection during CONNECT",
                     "check that it is an HTTP proxy and allows this host");
    }
    const wake w = co_await ready_to(*connection_, got.kind == io_result::want_read,
                                     got.kind == io_result::want_write, deadline);
    if (w == wake::cancelled) co_return fail_cancelled();
    if (w == wake::timed_out) {
      co_return fail_timeout("connect", peer() + " did not answer CONNECT", connect_timeout_,
                             "connect_timeout");
    }
  }
  const int status = decoder.head().status;
  if (status / 100 != 2) {
    outcome_.http_status = status;
    co_return fail(RAI_UNAVAILABLE, "proxy",
                   peer() + " refused the tunnel with status " + std::to_string(status),
                   status == 407 ? "put user:password@ into https_proxy"
                                 : "ask who runs the proxy, or name the host in no_proxy");
  }
  if (input_begin_ != input_end_) {
    co_return fail(RAI_UNAVAILABLE, "proxy", peer() + " sent data before the tunnel was in use",
                   "check that it is an HTTP proxy");
  }
  co_return true;
}

task<bool> exchange::begin_tls(steady_time deadline) {
  std::string problem;
  auto stream = core_.tls.open(connection_->fd(), destination_.host, key_, problem);
  if (!stream) co_return fail(RAI_FAILED_PRECONDITION, "tls", problem, "correct [plugin.http]");
  connection_->begin_tls(std::move(stream));
  for (;;) {
    const io_result got = connection_->tls()->handshake();
    if (got.kind == io_result::some) co_return true;
    if (got.kind == io_result::closed || got.kind == io_result::failed) {
      co_return fail(RAI_UNAVAILABLE, "tls",
                     "TLS failed: " + (got.error.empty() ? "the connection was closed" : got.error),
                     tls_hint(got.error));
    }
    const wake w = co_await ready_to(*connection_, got.kind == io_result::want_read,
                                     got.kind == io_result::want_write, deadline);
    if (w == wake::cancelled) co_return fail_cancelled();
    if (w == wake::timed_out) {
      co_return fail_timeout("connect", "the TLS handshake did not end", connect_timeout_,
                             "connect_timeout");
    }
  }
}

}  // namespace rustic::http
