// One request on its way: connection, redirects, retry, decoding, delivery. Private to the client.
#pragma once
#include <atomic>
#include <coroutine>
#include <memory>
#include <optional>
#include <string>

#include "client_core.hpp"
#include "connect_race.hpp"
#include "inflater.hpp"
#include "task.hpp"
#include "url.hpp"

namespace rustic::http {

// Loop thread only. Everything it waits for wakes one coroutine, which looks at the state again, so
// that a wake-up too many does no harm.
class exchange {
 public:
  exchange(client_core& core, std::uint64_t id, http_request request,
           std::shared_ptr<response_sink> sink);
  ~exchange();
  exchange(const exchange&) = delete;
  exchange& operator=(const exchange&) = delete;

  void begin();
  void cancel();
  void resume();
  void looked_up(resolved answer);
  void nudge() { wake_up(wake::ready); }

 private:
  enum class wake { ready, timed_out, cancelled };
  enum class verdict { finished, redirected, stale, failed };

  // co_await wait{...}: until wake_up, the deadline, or cancellation.
  struct wait {
    exchange& self;
    steady_time deadline = steady_time::max();
    bool await_ready() const noexcept { return self.cancelled_; }
    void await_suspend(std::coroutine_handle<> waiting);
    wake await_resume();
  };
  void wake_up(wake reason);
  wait ready_to(connection& c, bool read, bool write, steady_time deadline);

  task<bool> run();
  task<verdict> hop();
  task<bool> obtain_place();
  task<bool> obtain_connection(bool fresh);
  task<bool> open_tunnel(steady_time deadline);
  task<bool> begin_tls(steady_time deadline);
  task<bool> send(std::string_view first, std::string_view rest);
  task<verdict> converse();
  task<verdict> receive_body(response_decoder& decoder, content_coding form);

  bool prepare_hop();
  io_result read_more();
  bool is_redirect(const response_head& head) const;
  verdict redirect(response_decoder& decoder);
  bool deliver_head(const response_head& head, content_coding coding);
  bool deliver(std::string_view piece);
  verdict broken(const io_result& got, bool answer_begun);
  void release_connection(bool reusable);
  bool fail(rai_status status, std::string kind, std::string_view cause,
            std::string_view hint = {});
  bool fail_timeout(std::string kind, std::string_view what, std::chrono::milliseconds limit,
                    std::string_view setting);
  bool fail_cancelled();
  std::string subject() const;
  std::string peer() const;

  client_core& core_;
  const std::uint64_t id_;
  http_request request_;
  const std::shared_ptr<response_sink> sink_;
  std::chrono::milliseconds connect_timeout_;
  std::chrono::milliseconds first_byte_timeout_;
  std::chrono::milliseconds idle_timeout_;
  outcome outcome_;
  std::optional<task<bool>> main_;

  std::coroutine_handle<> waiter_;
  wake reason_ = wake::ready;
  alarm alarm_;
  bool cancelled_ = false;
  bool paused_ = false;

  // The current hop.
  url destination_;
  std::optional<url> proxy_;
  std::string key_;  // of the pool
  int redirects_ = 0;
  bool place_held_ = false;
  bool place_wanted_ = false;
  std::unique_ptr<connection> connection_;
  bool request_sent_whole_ = false;
  steady_time sent_at_{};

  std::shared_ptr<std::atomic<bool>> lookup_wanted_;
  std::optional<resolved> resolved_;
  std::unique_ptr<connect_race> race_;
  std::optional<connect_race::result> race_result_;

  std::string input_;  // read and not yet consumed: [input_begin_, input_end_)
  std::size_t input_begin_ = 0;
  std::size_t input_end_ = 0;
  std::string payload_;
};

}  // namespace rustic::http
