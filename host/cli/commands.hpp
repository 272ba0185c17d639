// host/cli/commands.hpp - one function for each command that is not a conversation. Errors come out
// as failure.
#pragma once
#include "host/cli/arguments.hpp"
#include "host/cli/exit_code.hpp"
#include "host/cli/program.hpp"
#include "host/cli/signals.hpp"

namespace rustic::cli {

exit_code session_command(program& with, const arguments& given, signal_watch& signals);
exit_code config_command(program& with, const arguments& given);
exit_code plugin_command(program& with, const arguments& given);
// These two need no valid configuration and open no plugin in this process.
exit_code plugin_validate_command(program& with, const arguments& given);
exit_code plugin_new_command(program& with, const arguments& given);
exit_code list_command(program& with, const arguments& given);  // tools and agents
exit_code models_command(program& with, const arguments& given, signal_watch& signals);
exit_code doctor_command(program& with, const arguments& given, signal_watch& signals);
exit_code trust_command(program& with, const arguments& given);
exit_code completion_command(const arguments& given);
// Answers a completion script: what the last word could be, of which `words` may have a beginning.
// One line says whether words, files or directories are wanted, then comes one word a line with
// what it is about behind a tab. Tells no error: a shell that completes has no place for one.
exit_code complete_command(const std::vector<std::string>& words);
}  // namespace rustic::cli
