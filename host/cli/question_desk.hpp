// host/cli/question_desk.hpp - rustic.ask of the terminal: questions of plugins to the person.
#pragma once
#include <deque>
#include <functional>
#include <mutex>
#include <optional>

#include "host/cli/signals.hpp"
#include "host/runtime/host_services.hpp"

namespace rustic::cli {

// Questions are put one after another in the order of their arrival, on standard output. Threads:
// questions arrive and are withdrawn on any thread; the rest belongs to the main one.
class question_desk {
 public:
  // Offers rustic.ask/default. `before` is called on the main thread before a question is shown.
  question_desk(runtime::host_services& services, bool color, std::function<void()> before);
  // Answers what still waits with CANCELLED.
  ~question_desk();
  question_desk(const question_desk&) = delete;
  question_desk& operator=(const question_desk&) = delete;

  // Readable while a question waits.
  int descriptor() const noexcept { return wake_; }
  // Puts the oldest question to the person. The signal that ended it, if one did. A question that
  // is withdrawn while it is shown (its call was cancelled, its time is over) goes away by itself.
  std::optional<int> serve(signal_watch& signals);

 private:
  struct waiting {
    std::uint64_t number;
    runtime::host_services::question question;
  };
  std::optional<int> put(const json::object& body, signal_watch& signals, json::object& answer);
  std::optional<int> choose(const json::object& body, const std::string& question,
                            signal_watch& signals, json::object& answer);
  void withdraw(std::uint64_t number);

  const bool color_;
  runtime::host_services& services_;
  const std::function<void()> before_;
  int wake_ = -1;
  int withdrawn_ = -1;  // readable once the shown question is withdrawn
  std::mutex mutex_;    // guards what follows
  std::deque<waiting> queue_;
  std::uint64_t next_ = 1;
  std::uint64_t shown_ = 0;
};
}  // namespace rustic::cli
