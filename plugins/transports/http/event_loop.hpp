// One thread that waits for descriptors, deadlines and posted jobs. Hides the reactor.
//
// Threads  post and stop from any thread; everything else on the loop's thread only.
// Idle     with nothing watched and no deadline set the thread sleeps without any wake-up.
#pragma once
#include <chrono>
#include <functional>
#include <memory>

namespace rustic::http {

using steady_time = std::chrono::steady_clock::time_point;

class event_loop {
 public:
  event_loop();
  ~event_loop();  // as stop
  event_loop(const event_loop&) = delete;
  event_loop& operator=(const event_loop&) = delete;

  // Runs job on the loop's thread, which the first post starts. False: stopped, or no thread could
  // be started; job was dropped.
  bool post(std::function<void()> job);

  // Runs the jobs posted so far, ends the thread and joins it. Not from the loop's own thread.
  void stop();

 private:
  friend class fd_watch;
  friend class alarm;
  struct impl;
  std::unique_ptr<impl> impl_;
};

// Tells when a non-blocking descriptor can be read or written. Does not own the descriptor, and
// must be destroyed before it is closed.
class fd_watch {
 public:
  fd_watch(event_loop& loop, int fd);
  ~fd_watch();  // a pending callback is dropped
  fd_watch(const fd_watch&) = delete;
  fd_watch& operator=(const fd_watch&) = delete;

  // One call of ready, for whichever comes first. Replaces an earlier wait.
  void wait(bool readable, bool writable, std::function<void()> ready);
  void cancel();

 private:
  struct impl;
  std::shared_ptr<impl> impl_;
};

// Calls `fired` once when its deadline has passed. Moving the deadline further away costs nothing.
class alarm {
 public:
  alarm(event_loop& loop, std::function<void()> fired);
  ~alarm();
  alarm(const alarm&) = delete;
  alarm& operator=(const alarm&) = delete;

  void set(steady_time deadline);
  void clear();

 private:
  friend class event_loop;
  event_loop& loop_;
  std::function<void()> fired_;
  steady_time deadline_ = steady_time::max();
  steady_time queued_ = steady_time::max();  // its place in the loop's queue; never after deadline_
};

}  // namespace rustic::http
