// dispatcher.hpp - the threads that take frames from the program and run the plugin's functions.
#pragma once
#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "../frame.hpp"

namespace rustic::cell {

// Something to be run by a thread that may be kept busy by the plugin.
class step {
 public:
  virtual ~step() = default;
  virtual void run() = 0;
};

// One thread at a time reads; it runs what it has read itself, and another takes over the reading
// only when something comes meanwhile. So a function of the plugin that waits holds nobody up, and
// nothing is handed from thread to thread as long as none does.
class dispatcher {
 public:
  // `on_frame` is called by one thread at a time, in the order of the frames. It must not run code
  // of the plugin: it schedules steps. False: the frame is none that the program sends.
  dispatcher(int socket, std::function<bool(const frame&)> on_frame);
  ~dispatcher() = delete;  // its threads end with the process
  dispatcher(const dispatcher&) = delete;
  dispatcher& operator=(const dispatcher&) = delete;

  // Any thread. `wake` unless it is called by on_frame, whose thread runs the steps afterwards.
  void schedule(std::shared_ptr<step> what, bool wake = false);
  // This thread becomes the first. Before that, read_one() gives the frames one by one.
  [[noreturn]] void run();
  frame read_one();

 private:
  [[noreturn]] void work();
  bool run_next();
  void read();
  void receive_waiting();
  void arm(bool first);
  void more_hands();
  void poke();

  const int socket_;
  const std::function<bool(const frame&)> on_frame_;
  int poll_ = -1, poke_ = -1;
  std::mutex read_mutex_;
  frame_buffer buffer_;

  std::mutex mutex_;  // guards what follows
  std::deque<std::shared_ptr<step>> steps_;
  std::vector<std::thread> threads_;
  std::atomic<std::size_t> idle_{0};
};

}  // namespace rustic::cell
