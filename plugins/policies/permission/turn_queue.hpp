// Lets the questions of one session be asked one after another. Waiting is a call of its own, so
// that a wait ends with the call that waits.
#pragma once
#include <rustic/abi.h>

#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace rustic::permission {

// Serves "wait" {"ticket": "N"}: finishes with OK when that ticket is the first of its line.
// Threads: any. Lives until the plugin is destroyed, after every call has been released.
class turn_queue {
 public:
  explicit turn_queue(const rai_host* host) : host_(host) {}
  turn_queue(const turn_queue&) = delete;
  turn_queue& operator=(const turn_queue&) = delete;

  static constexpr std::string_view target = "rustic.permission-turn/default";

  // A place in the line of one session, from construction to destruction.
  class ticket {
   public:
    // Throws failure(RESOURCE_EXHAUSTED) when max_waiting_questions wait already.
    ticket(turn_queue& queue, std::string_view session);
    ~ticket();
    ticket(const ticket&) = delete;
    ticket& operator=(const ticket&) = delete;
    bool first() const;
    std::string body() const;  // of the call to make when it is not the first

   private:
    turn_queue& queue_;
    std::string session_;
    std::uint64_t number_;
  };

  rai_service service() noexcept;

 private:
  struct place {
    std::uint64_t number;
    rai_call waiting;  // 0: nobody waits yet
  };
  struct waiter;

  std::uint64_t enter(std::string_view session);
  void leave(const std::string& session, std::uint64_t number) noexcept;
  bool is_first(const std::string& session, std::uint64_t number) const;
  void wait(std::uint64_t number, rai_call call);
  void forget(std::uint64_t number, rai_call call) noexcept;
  void finish_ready(std::unique_lock<std::mutex>& lock) noexcept;

  const rai_host* host_;
  mutable std::mutex mutex_;  // guards all below; never held while a call is finished
  std::map<std::string, std::deque<place>, std::less<>> lines_;
  std::size_t count_ = 0;
  std::uint64_t next_number_ = 1;
  std::vector<rai_call> ready_;
  bool finishing_ = false;
};

}  // namespace rustic::permission
