// host/cli/repl.hpp - the conversation in the terminal.
#pragma once
#include "host/cli/exit_code.hpp"
#include "host/cli/program.hpp"
#include "host/cli/signals.hpp"
#include "host/cli/turn_options.hpp"

namespace rustic::cli {

// Runs until /exit, end of input or a second Ctrl-C. Input that is not a terminal is one prompt.
exit_code repl(program& with, turn_options turn, signal_watch& signals);
}  // namespace rustic::cli
