// supervisor_link.hpp - the plugin's end of its supervisor process: starts it when it is needed,
// hands commands over, starts it anew when somebody killed it, ends and reaps it.
//
// Threads: one owner, the runner's. Errors: text that says what to do.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "descriptor.hpp"
#include "supervisor_protocol.hpp"

namespace rustic::shell {

class supervisor_link {
 public:
  // `executable` is the path of rustic-ai-supervisor.
  explicit supervisor_link(std::string executable) : executable_(std::move(executable)) {}
  // Ends the process if it still runs.
  ~supervisor_link();
  supervisor_link(const supervisor_link&) = delete;
  supervisor_link& operator=(const supervisor_link&) = delete;

  // Starts the process when there is none. What went wrong, or nothing.
  std::optional<std::string> ensure();
  // Queues one packet with descriptors; sends what the socket takes.
  void post(std::string packet, std::vector<descriptor> descriptors);
  void flush();

  // To be watched for reading, and for writing while writes_waiting.
  int socket() const noexcept { return socket_.get(); }
  bool writes_waiting() const noexcept { return !queue_.empty(); }
  // Call it when the socket is readable: the process is gone, unless this says no.
  bool check_gone();
  // Closes the socket, which ends everything below, and reaps; kills after wait_ms.
  void end(std::uint32_t wait_ms);

 private:
  struct packet {
    std::string bytes;
    std::vector<descriptor> descriptors;
  };
  bool send(const packet& item);
  void reap(std::uint32_t wait_ms);

  std::string executable_;
  descriptor socket_;
  descriptor process_;
  pid_t pid_ = 0;
  std::deque<packet> queue_;  // bounded by commands_max, which the runner holds
};

}  // namespace rustic::shell
