// host/cli/question_desk.hpp - rustic.ask of the terminal: questions of plugins wait here until the main thread puts them to the person.
#pragma once
#include <deque>
#include <mutex>
#include <optional>

#include "host/cli/signals.hpp"
#include "host/runtime/host_services.hpp"

namespace rustic::cli {

// Threads: questions arrive on any thread; serve and the destructor belong to the main thread.
class question_desk {
 public:
  // Offers rustic.ask/default.
  question_desk(runtime::host_services& services, bool color);
  // Answers what still waits with CANCELLED.
  ~question_desk();
  question_desk(const question_desk&) = delete;
  question_desk& operator=(const question_desk&) = delete;

  // Readable while a question waits.
  int descriptor() const noexcept { return wake_; }
  // Puts the oldest question to the person. The signal that ended it, if one did.
  std::optional<int> serve(signal_watch& signals);

 private:
  struct waiting {
    std::uint64_t number;
    runtime::host_services::question question;
  };
  std::optional<int> put(const json::object& body, signal_watch& signals, json::object& answer);
  void withdraw(std::uint64_t number);

  const bool color_;
  runtime::host_services& services_;
  int wake_ = -1;
  std::mutex mutex_;  // guards what follows
  std::deque<waiting> queue_;
  std::uint64_t next_ = 1;
};
}  // namespace rustic::cli
