// shell.hpp - the tool `shell` in words: configuration, arguments and results as JSON.
//
// Threads: any; nothing here keeps state. Errors: failure, whose text a model or a user can act on.
#pragma once
#include <filesystem>
#include <rustic/json.hpp>
#include <string>

#include "command_runner.hpp"

namespace rustic::shell {

struct shell_settings {
  runner_settings runner;
  std::uint32_t timeout_ms = timeout_ms_default;
  std::uint32_t timeout_ms_cap = timeout_ms_cap_default;
};

// Reads [plugin.shell]. `plugin_file` is where this plugin was loaded from, `program_file` the
// running program: the supervisor is looked for near both when no path is configured. May be empty.
shell_settings read_settings(const json::object& config, const std::filesystem::path& plugin_file,
                             const std::filesystem::path& program_file);

// What one request asks for. arguments: docs/interfaces/tool.md. scope: the call's context, of
// which `workspace` and `roots` count. deadline_ms: what the caller leaves, INT64_MAX for no bound;
// the command's own deadline comes a little earlier, so that its output is not lost. Throws
// failure: INVALID_ARGUMENT, NOT_FOUND, PERMISSION_DENIED, FAILED_PRECONDITION.
command_spec read_command(const json::object& arguments, const json::object& scope,
                          const shell_settings& settings, std::int64_t deadline_ms);

// The result's body for a command that ran. Throws failure(UNAVAILABLE) for one that never did.
std::string result_body(const outcome& result, const command_spec& spec);

}  // namespace rustic::shell
