// process_table.hpp - finds the descendants of a process, wherever they hide in sessions and
// groups.
//
// A snapshot of /proc. Threads: one owner. Errors: a process that vanishes meanwhile is passed
// over.
#pragma once
#include <sys/types.h>

#include <cstddef>

#include "../supervisor_protocol.hpp"

namespace rustic::shell {

// A list of process ids that does not own them.
struct pid_list {
  const pid_t* items = nullptr;
  std::size_t count = 0;
};

class process_table {
 public:
  // Sends signal to every living descendant of root, except spared ones and what is below those.
  // Direct children get it while the table is being read, so that a process which keeps replacing
  // itself has no time to. Members of signalled_group have had theirs. Returns how many living
  // descendants were found.
  std::size_t signal_descendants(pid_t root, int signal, pid_list spared = {},
                                 pid_t signalled_group = 0);

  // Writes the living descendants of root into report.
  void list_descendants(pid_t root, keeper_report& report);

 private:
  struct entry {
    pid_t pid;
    pid_t parent;
    pid_t group;
    bool alive;
    bool below;
  };
  void read(pid_t root, int signal, pid_list spared, pid_t signalled_group);
  void mark(pid_t root, pid_list spared);
  entry* find(pid_t pid);

  entry entries_[scanned_processes_max];
  std::size_t count_ = 0;
};

}  // namespace rustic::shell
