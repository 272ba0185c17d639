// A coroutine that starts at once and that another coroutine may await. For one thread.
//
// Starting at once keeps a loop of tasks that never wait from growing the stack: such a task has
// ended before it is awaited. GCC 12 destroys temporaries twice or not at all when co_await stands
// in a condition or has arguments with a destructor: await into a variable, from names. A task must
// not be destroyed while it is suspended inside a wait that will still resume it.
#pragma once
#include <coroutine>
#include <exception>
#include <optional>
#include <utility>

namespace rustic::http {

template <class T>
class [[nodiscard]] task {
 public:
  struct promise_type {
    std::optional<T> value;
    std::exception_ptr failure;
    std::coroutine_handle<> continuation;

    task get_return_object() {
      return task(std::coroutine_handle<promise_type>::from_promise(*this));
    }
    std::suspend_never initial_suspend() noexcept { return {}; }
    auto final_suspend() noexcept {
      struct awaiter {
        bool await_ready() noexcept { return false; }
        std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> self) noexcept {
          auto next = self.promise().continuation;
          return next ? next : std::noop_coroutine();
        }
        void await_resume() noexcept {}
      };
      return awaiter{};
    }
    void return_value(T v) { value.emplace(std::move(v)); }
    void unhandled_exception() noexcept { failure = std::current_exception(); }
  };

  task(task&& other) noexcept : self_(std::exchange(other.self_, nullptr)) {}
  task& operator=(task&&) = delete;
  ~task() {
    if (self_) self_.destroy();
  }

  bool await_ready() const noexcept { return self_.done(); }
  void await_suspend(std::coroutine_handle<> waiting) noexcept {
    self_.promise().continuation = waiting;
  }
  T await_resume() {
    if (self_.promise().failure) std::rethrow_exception(self_.promise().failure);
    return std::move(*self_.promise().value);
  }

 private:
  explicit task(std::coroutine_handle<promise_type> self) : self_(self) {}
  std::coroutine_handle<promise_type> self_;
};

}  // namespace rustic::http
