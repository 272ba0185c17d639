// host/cli/chat.hpp - one prompt, one turn, one exit status.
#pragma once
#include "host/cli/exit_code.hpp"
#include "host/cli/program.hpp"
#include "host/cli/signals.hpp"
#include "host/cli/turn_options.hpp"

namespace rustic::cli {

// Reads standard input when it is piped and appends it to the prompt. Whatever goes wrong is
// reported in the form that was asked for.
exit_code chat(program& with, turn_options turn, signal_watch& signals);

// What the recorder is told: a recording, a replay, or nothing. Throws failure(INVALID_ARGUMENT)
// for a file that cannot be used.
json::object recorder_of(const turn_options& turn);

// What the command line says, else the configuration, else text.
output_form output_form_of(program& with, const turn_options& turn);

// Reports an error that came before there was a turn.
void report_failure(output_form form, bool quiet, const error& problem);
}  // namespace rustic::cli
