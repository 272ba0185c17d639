// runner.hpp - the process that a plugin lives in: loads it, and is its host.
#pragma once

namespace rustic::cell {

// Until the program hangs up. The process's exit status; ends the process itself in most cases.
int run_plugin();

}  // namespace rustic::cell
