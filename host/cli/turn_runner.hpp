// host/cli/turn_runner.hpp - runs one turn in the foreground: its events go to a report, Ctrl-C
// cancels it.
#pragma once
#include <string>

#include "host/cli/exit_code.hpp"
#include "host/cli/program.hpp"
#include "host/cli/question_desk.hpp"
#include "host/cli/signals.hpp"
#include "host/cli/turn_options.hpp"
#include "host/cli/turn_report.hpp"

namespace rustic::cli {

class terminal_mode;

// The session that the options name: resumed, the latest of the workspace, or a new one. Throws
// failure.
std::string open_session(program& with, const turn_options& turn);

struct turn_end {
  exit_code code = exit_code::done;
  json::object result;  // docs/output.md
};

// `input` is the list of parts; `desk`, when there is one, takes questions to the person. A first
// signal cancels and the partial text is kept; a second one returns at once. Never throws for what
// happens in the turn. `mode` is set again when the program was stopped and goes on.
turn_end run_turn(program& with, const std::string& session, json::array input,
                  const turn_options& turn, question_desk* desk, turn_report& report,
                  signal_watch& signals, const terminal_mode* mode = nullptr);

// "[provider/]model" of -m, where the part before the first slash names a configured provider.
void split_model(program& with, turn_options& turn);
}  // namespace rustic::cli
