// rustic/task.hpp - coroutines for services that wait: task<T>, when_all, and their strand.
#pragma once
#include <atomic>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace rustic {

// Runs the coroutines of one served call one after another, on whichever thread brings news.
// Threads: post from any. Re-entrant posts are queued, so that a chain of calls that finish at
// once does not recurse.
class strand {
 public:
  void post(std::coroutine_handle<> handle);

 private:
  std::mutex mutex_;
  std::vector<std::coroutine_handle<>> queue_;
  bool running_ = false;
};

namespace detail {
struct promise_base {
  std::exception_ptr exception;

  // Says that the coroutine has come to its end. Nothing: nobody waits yet. After this the frame
  // may be gone.
  std::coroutine_handle<> finished() noexcept {
    void* waiting = waiting_.exchange(this, std::memory_order_acq_rel);
    return waiting ? std::coroutine_handle<>::from_address(waiting) : nullptr;
  }
  // Leaves word who waits. False when the coroutine has come to its end already.
  bool wait(std::coroutine_handle<> waiting) noexcept {
    void* nobody = nullptr;
    return waiting_.compare_exchange_strong(nobody, waiting.address(), std::memory_order_acq_rel);
  }

  struct final_awaiter {
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> self) const noexcept {
      const auto next = self.promise().finished();
      return next ? next : std::noop_coroutine();
    }
    void await_resume() const noexcept {}
  };
  std::suspend_always initial_suspend() const noexcept { return {}; }
  final_awaiter final_suspend() const noexcept { return {}; }
  void unhandled_exception() noexcept { exception = std::current_exception(); }

 private:
  std::atomic<void*> waiting_{nullptr};  // the address of who waits; this: at the end
};

template <class T>
struct promise_value : promise_base {
  std::optional<T> value;
  template <class U>
  void return_value(U&& result) {
    value.emplace(std::forward<U>(result));
  }
  T take() {
    if (exception) std::rethrow_exception(exception);
    return std::move(*value);
  }
};
template <>
struct promise_value<void> : promise_base {
  void return_void() const noexcept {}
  void take() const {
    if (exception) std::rethrow_exception(exception);
  }
};
}  // namespace detail

// A lazy coroutine with one result. Owns its frame. Starts when it is awaited; an exception comes
// out of co_await.
template <class T = void>
class [[nodiscard]] task {
 public:
  struct promise_type : detail::promise_value<T> {
    task get_return_object() noexcept {
      return task(std::coroutine_handle<promise_type>::from_promise(*this));
    }
  };
  task() noexcept = default;
  task(task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  task& operator=(task&& other) noexcept {
    if (this != &other) {
      if (handle_) handle_.destroy();
      handle_ = std::exchange(other.handle_, nullptr);
    }
    return *this;
  }
  ~task() {
    if (handle_) handle_.destroy();
  }

  bool await_ready() const noexcept { return false; }
  // A task that ends at once is not suspended for: a loop over such tasks needs no stack.
  bool await_suspend(std::coroutine_handle<> waiting) noexcept {
    handle_.resume();
    return handle_.promise().wait(waiting);
  }
  T await_resume() { return handle_.promise().take(); }

  // For who starts tasks without awaiting them.
  std::coroutine_handle<promise_type> handle() const noexcept { return handle_; }

 private:
  explicit task(std::coroutine_handle<promise_type> handle) noexcept : handle_(handle) {}
  std::coroutine_handle<promise_type> handle_;
};

namespace detail {
// A coroutine that only counts down: it frees itself and has nobody to report to.
struct detached {
  struct promise_type {
    detached get_return_object() const noexcept { return {}; }
    std::suspend_never initial_suspend() const noexcept { return {}; }
    std::suspend_never final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    void unhandled_exception() const noexcept { std::terminate(); }
  };
};
}  // namespace detail

// Runs the tasks side by side on the strand of the awaiting coroutine; done when all are. None is
// cancelled because another failed: each outcome is asked for by its own result(i).
template <class T>
class when_all {
 public:
  explicit when_all(std::vector<task<T>> tasks) : tasks_(std::move(tasks)), left_(tasks_.size()) {}
  when_all(const when_all&) = delete;
  when_all& operator=(const when_all&) = delete;

  bool await_ready() const noexcept { return tasks_.empty(); }
  bool await_suspend(std::coroutine_handle<> waiting) {
    waiting_ = waiting;
    ++left_;  // ours, so that tasks that finish at once do not resume a coroutine not yet suspended
    for (auto& one : tasks_) run(one);
    return --left_ != 0;
  }
  void await_resume() const noexcept {}
  T result(std::size_t index) { return tasks_[index].handle().promise().take(); }

 private:
  detail::detached run(task<T>& one) {
    struct outcome {
      task<T>& inner;
      bool await_ready() const noexcept { return false; }
      bool await_suspend(std::coroutine_handle<> waiting) noexcept {
        return inner.await_suspend(waiting);
      }
      void await_resume() const noexcept {}
    };
    co_await outcome{one};
    if (--left_ == 0) waiting_.resume();
  }
  std::vector<task<T>> tasks_;
  std::size_t left_;
  std::coroutine_handle<> waiting_;
};
}  // namespace rustic
