// keeper_protocol.hpp - the descriptors that a child starts with, and what its keeper reports.
//
// The child is two processes. The keeper is the program's child: it owns no plugin code, adopts
// whatever is orphaned below it, and ends it all when the plugin's process has ended, when the
// program closes the keeper's socket, and when the program is gone. The runner is the keeper's
// child: it loads the plugin.
#pragma once
#include <cstdint>

namespace rustic::cell {

inline constexpr int frames_descriptor = 3;     // stream of frames, the runner's
inline constexpr int questions_descriptor = 4;  // stream of frames, the runner's
inline constexpr int keeper_descriptor = 5;     // SOCK_SEQPACKET: keeper_report; closed: end
inline constexpr int image_descriptor = 6;      // the plugin's file

enum class keeper_news : std::uint32_t { exited = 1, stopped = 2 };
struct keeper_report {
  keeper_news news = keeper_news::exited;
  std::int32_t status = 0;  // a wait status
};
struct keeper_order {
  std::uint32_t kill = 1;  // the runner, at once
};

}  // namespace rustic::cell
