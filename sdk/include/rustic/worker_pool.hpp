// rustic/worker_pool.hpp - a bounded pool of threads for blocking handlers, owned by one plugin.
#pragma once
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace rustic {

// Threads: submit from any. Threads start when there is work for them and wait without a timeout.
class worker_pool {
 public:
  static constexpr std::size_t threads_max = 64;        // also when all of them wait for calls
  static constexpr std::size_t queued_jobs_max = 4096;  // beyond it submit refuses

  // `parallel` jobs run at once, beside those that wait in a pause.
  explicit worker_pool(std::size_t parallel = 8);
  ~worker_pool();
  worker_pool(const worker_pool&) = delete;
  worker_pool& operator=(const worker_pool&) = delete;

  // False when the queue is full or the pool is stopped: the job was not taken. The same when it
  // throws, because there is no memory or no thread to be had.
  bool submit(std::function<void()> job);
  // Finishes the queued jobs and joins. Not from a worker.
  void stop();

  // While it lives, the calling worker does not count among the `parallel`.
  class pause {
   public:
    explicit pause(worker_pool* pool) noexcept;
    ~pause();
    pause(const pause&) = delete;
    pause& operator=(const pause&) = delete;

   private:
    worker_pool* pool_;
  };

 private:
  void work();
  void grow_locked();

  std::size_t parallel_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> queue_;
  std::vector<std::thread> threads_;
  std::size_t running_ = 0;
  std::size_t idle_ = 0;
  std::size_t paused_ = 0;
  bool stopping_ = false;
};
}  // namespace rustic
