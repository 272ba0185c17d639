// host/cli/demo.hpp - a recorded conversation, played with the tools run for real in a scratch directory.
#pragma once
#include "host/cli/exit_code.hpp"
#include "host/cli/program.hpp"
#include "host/cli/signals.hpp"

namespace rustic::cli {

// Says plainly that it is a recording.
exit_code demo(program& with, signal_watch& signals);
}  // namespace rustic::cli
