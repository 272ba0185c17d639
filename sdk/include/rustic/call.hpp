// rustic/call.hpp - one call being served: its request, its answer, and the calls made for it.
#pragma once
#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <rustic/status.hpp>
#include <rustic/task.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace rustic {
class worker_pool;
class context;

// What a handler of events tells the emitter.
enum class flow : rai_flow { go_on = RAI_CONTINUE, pause = RAI_PAUSE, stop = RAI_STOP };
using event_handler = std::function<flow(const rai_event&)>;

rai_event make_event(rai_event_kind kind, std::string_view text, std::uint32_t index = 0,
                     std::uint64_t a = 0, std::uint64_t b = 0) noexcept;

// A call to make. The views are borrowed until the call has been made.
struct call_spec {
  std::string_view target;
  std::string_view method;
  std::string_view body = "{}";
  std::string_view data = {};
  std::string_view context = {};  // empty: inherited
  std::uint32_t timeout_ms = 0;   // 0: the parent's deadline alone
  bool shielded = false;          // goes on when the parent is cancelled; needs timeout_ms
  bool next = false;              // interceptors: the rest of the chain; target is not read
  event_handler on_event = {};    // runs on the emitting thread
};

struct call_result {
  status_code status = status_code::unknown;
  std::string body;

  bool ok() const noexcept { return status == status_code::ok; }
  // The result as an object; throws failure with the call's error.
  json::object object() const;
  error problem() const { return read_error(status, body); }
};

// The request of a call being served: copies that live as long as the call.
struct request {
  std::string target;
  std::string method;
  std::string body;
  std::string data;
  std::string context;
  std::uint32_t revision = 0;
  std::uint32_t flags = 0;

  bool intercepted() const noexcept { return (flags & RAI_INTERCEPTED) != 0; }
  json::object object() const { return parse_object(body, method); }
};

namespace detail {
// The caller's side of one call below a served one. Guarded by the owner's mutex.
struct child_call {
  context& owner;
  const event_handler& handler;
  rai_call id = 0;          // 0 while the call is being made
  bool resume_due = false;  // the receiver wanted more before the id was known
};
}  // namespace detail

// A wait for one call; made by context::call.
class [[nodiscard]] call_awaiter {
 public:
  call_awaiter(context& owner, call_spec spec)
      : owner_(owner), spec_(std::move(spec)), child_{owner, spec_.on_event} {}
  call_awaiter(const call_awaiter&) = delete;
  call_awaiter& operator=(const call_awaiter&) = delete;
  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> waiting);
  call_result await_resume() { return std::move(result_); }

 private:
  friend class context;
  enum : int { pending, suspended, finished };
  static rai_flow on_event(void* self, const rai_event* event) noexcept;
  static void on_finish(void* self, rai_status status, rai_str body) noexcept;

  context& owner_;
  call_spec spec_;
  detail::child_call child_;
  call_result result_;
  std::coroutine_handle<> waiting_;
  std::atomic<int> state_{pending};
};

// The call being served. Ownership: made by the SDK, lives until the call is released.
// Threads: the coroutine form uses it on its strand, the blocking form on a worker; emit, cancelled
// and log may come from any one thread at a time.
class context {
 public:
  context(const rai_host* host, rai_call id, rustic::request request) noexcept
      : host_(host), id_(id), request_(std::move(request)) {}
  context(const context&) = delete;
  context& operator=(const context&) = delete;

  const rustic::request& request() const noexcept { return request_; }
  const rai_host& host() const noexcept { return *host_; }
  rai_call id() const noexcept { return id_; }
  // The members of the call tree's context object (docs/interfaces/README.md). Parsed once.
  const json::object& scope();
  bool cancelled() const noexcept { return cancelled_.load(std::memory_order_relaxed); }
  rai_call_info info() const noexcept;

  // Sends one event now. pause means: taken, and the emitter should wait.
  flow emit(const rai_event& event) noexcept;
  flow text(std::string_view piece) noexcept { return emit(make_event(RAI_EVENT_TEXT, piece)); }
  flow event(const json::object& object);
  void log(rai_log_level level, std::string_view text) const noexcept;

  // Coroutine form: `auto result = co_await ctx.call({.target = ..., .method = ...});`
  call_awaiter call(call_spec spec) { return call_awaiter(*this, std::move(spec)); }
  // Whether the receiver of the events has paused them: none is sent before writable().
  bool paused() noexcept;
  // Coroutine form: waits until the receiver of the events wants more.
  class writable_awaiter;
  writable_awaiter writable() noexcept;

  // Blocking form, on a worker: the worker's slot is given back while it waits.
  call_result call_blocking(const call_spec& spec);
  // Blocking form: sends and waits while paused. Throws failure(CANCELLED) when told to stop.
  void emit_blocking(const rai_event& event);

  class writable_awaiter {
   public:
    explicit writable_awaiter(context& owner) noexcept : owner_(owner) {}
    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> waiting);
    void await_resume() const noexcept {}

   private:
    context& owner_;
  };

 private:
  friend class call_awaiter;
  friend class plugin_host;
  static rai_flow deliver(detail::child_call& child, const rai_event& event) noexcept;
  void child_started(detail::child_call& child, rai_call id) noexcept;
  void child_finished(detail::child_call& child) noexcept;
  void on_cancel() noexcept;
  void on_resume() noexcept;
  void wake_all() noexcept;
  static rai_request make_request(const call_spec& spec) noexcept;

  const rai_host* host_;
  rai_call id_;
  rustic::request request_;
  std::optional<json::object> scope_;
  std::atomic<bool> cancelled_{false};
  worker_pool* pool_ = nullptr;
  std::shared_ptr<strand> strand_;

  std::atomic<std::uint64_t> resumes_{0};

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  bool paused_ = false;
  std::vector<detail::child_call*> paused_children_;
  std::vector<std::coroutine_handle<>> paused_waiters_;
};
}  // namespace rustic
