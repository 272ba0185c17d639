// keeper.hpp - the process above the plugin's: it tells how the plugin's process ended, and ends
// everything that was started below it.
#pragma once
#include <sys/types.h>

namespace rustic::cell {

// Runs in the keeper process, single-threaded, SIGCHLD blocked, as a child subreaper: whatever is
// orphaned below, however it detached itself, becomes its child, and "no child left" is a fact it
// can wait for. Ends the process when that is so.
[[noreturn]] void keep(pid_t runner);

}  // namespace rustic::cell
