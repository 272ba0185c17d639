// plugins/engines/agent/turn_lease.hpp - who runs a session's turn: the owner's name in the lease,
// and whether it still lives.
#pragma once
#include <string>
#include <string_view>

namespace rustic::agent {

// "host:pid:start:turn", where start is the process's start time in clock ticks since boot, so that
// a reused process id is another owner.
std::string lease_owner(std::string_view turn);

// True when `owner` names a process of this machine that is gone. An owner elsewhere counts as
// alive: its lease runs out by time.
bool owner_is_dead(std::string_view owner);
}  // namespace rustic::agent
