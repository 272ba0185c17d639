// task_thread.hpp - one thread that runs bounded work in order: what may wait for others, so that
// the thread that listens to the child need not.
#pragma once
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "limits.hpp"

namespace rustic::cell {

// Any thread. The thread starts with the first task.
class task_thread {
 public:
  using task = std::function<void()>;
  // `on_room` is called when full() has become false.
  explicit task_thread(std::function<void()> on_room) : on_room_(std::move(on_room)) {}
  ~task_thread() { stop(); }
  task_thread(const task_thread&) = delete;
  task_thread& operator=(const task_thread&) = delete;

  // `bytes`: what the task holds on to.
  void post(task what, std::size_t bytes = 0);
  // Nobody should post now, except what must be done.
  bool full();
  // Tasks wait until they are let go.
  void hold(bool held);
  // Forgets the tasks that have not begun.
  void clear();
  // Runs what is left and ends the thread.
  void stop();

 private:
  struct item {
    task what;
    std::size_t bytes;
  };
  void run();
  bool full_locked() const { return tasks_.size() >= tasks_max || bytes_ > task_bytes_max; }

  const std::function<void()> on_room_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::deque<item> tasks_;
  std::size_t bytes_ = 0;
  bool held_ = false, stopping_ = false;
  std::thread thread_;
};

}  // namespace rustic::cell
