#include "shell.hpp"

#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <rustic/status.hpp>
#include <vector>

namespace rustic::shell {
namespace {
namespace fs = std::filesystem;

constexpr char supervisor_name[] = "rustic-ai-supervisor";

[[noreturn]] void refuse(std::string message, std::string hint = {}) {
  throw failure(status_code::invalid_argument, std::move(message), std::move(hint));
}

std::string find_supervisor(std::string_view configured, const fs::path& plugin_file,
                            const fs::path& program_file) {
  if (!configured.empty()) return std::string(configured);
  const fs::path below = fs::path("libexec") / "rustic-ai" / supervisor_name;
  std::vector<fs::path> places;
  if (!plugin_file.empty()) {
    const fs::path folder = plugin_file.parent_path();  // PREFIX/lib/rustic-ai/plugins
    places.push_back(folder / supervisor_name);
    places.push_back(folder.parent_path().parent_path().parent_path() / below);
  }
  if (!program_file.empty()) {
    const fs::path folder = program_file.parent_path();  // PREFIX/bin
    places.push_back(folder.parent_path() / below);
    places.push_back(folder / supervisor_name);
  }
  std::error_code error;
  for (const fs::path& place : places) {
    if (fs::is_regular_file(place, error)) return place.lexically_normal().string();
  }
  // Not found: the error of starting it then names the place where it belongs.
  return places.empty() ? supervisor_name : places.back().lexically_normal().string();
}

std::vector<std::string> read_environment(const json::object& config) {
  std::vector<std::string> entries;
  std::size_t bytes = 0;
  const json::object& given = object_or_empty(config, "environment");
  const auto add = [&](std::string_view name, std::string_view value) {
    if (name.empty() || name.find('=') != name.npos || name.find('\0') != name.npos ||
        value.find('\0') != value.npos) {
      refuse("plugin.shell.environment: '" + std::string(name) + "' is no variable");
    }
    entries.push_back(std::string(name) + "=" + std::string(value));
    bytes += entries.back().size() + 1;
  };
  for (const auto& [name, value] : given) {
    if (!value.is_string()) {
      refuse("plugin.shell.environment." + std::string(name) + " is not text");
    }
    add(name, value.get_string());
  }
  if (!given.contains("PATH")) add("PATH", "/usr/local/bin:/usr/bin:/bin");
  if (!given.contains("TERM")) add("TERM", "dumb");
  if (!given.contains("LANG")) add("LANG", "C.UTF-8");
  if (entries.size() > environment_entries_max || bytes > environment_bytes_max) {
    refuse("plugin.shell.environment holds " + std::to_string(entries.size()) + " variables of " +
           std::to_string(bytes) + " bytes in all; at most " +
           std::to_string(environment_entries_max) + " and " +
           std::to_string(environment_bytes_max) + " are possible");
  }
  return entries;
}

std::uint64_t bytes_or(const json::object& config, std::string_view key, std::uint64_t fallback,
                       std::uint64_t least, std::uint64_t most) {
  const std::int64_t value = int_or(config, key, static_cast<std::int64_t>(fallback));
  if (value < static_cast<std::int64_t>(least) || value > static_cast<std::int64_t>(most)) {
    refuse("plugin.shell." + std::string(key) + " = " + std::to_string(value) +
           ": expected a number of bytes from " + std::to_string(least) + " to " +
           std::to_string(most));
  }
  return static_cast<std::uint64_t>(value);
}

std::uint32_t timeout_or(const json::object& config, std::string_view key, std::uint32_t fallback) {
  const std::int64_t value = duration_ms_or(config, key, fallback);
  if (value < 1 || value > timeout_ms_cap_max) {
    refuse("plugin.shell." + std::string(key) + ": expected a duration from 1ms to 24h");
  }
  return static_cast<std::uint32_t>(value);
}

bool is_below(const fs::path& path, const fs::path& root) {
  const auto [end, ignored] = std::mismatch(root.begin(), root.end(), path.begin(), path.end());
  return end == root.end();
}

// The real directory, with links resolved: a link must not lead out of the workspace unseen.
std::string resolve_directory(std::string_view wanted, const json::object& scope) {
  const fs::path workspace = std::string(text_or(scope, "workspace"));
  if (!workspace.is_absolute()) {
    throw failure(status_code::failed_precondition,
                  "running a command: the call names no workspace directory",
                  "the caller's context needs an absolute 'workspace'");
  }
  std::error_code error;
  const fs::path start = fs::canonical(workspace, error);
  if (error) {
    throw failure(status_code::not_found, "running a command: the workspace '" +
                                              workspace.string() +
                                              "' cannot be entered: " + error.message());
  }
  if (wanted.empty()) return start.string();
  if (wanted.size() > workdir_bytes_max || wanted.find('\0') != wanted.npos) {
    refuse("workdir is not a possible path");
  }
  const fs::path given = start / fs::path(std::string(wanted));
  const fs::path real = fs::canonical(given, error);
  if (error) {
    throw failure(status_code::not_found,
                  "workdir '" + std::string(wanted) + "' cannot be used: " + error.message(),
                  "give an existing directory, relative to " + start.string());
  }
  if (!fs::is_directory(real, error)) {
    throw failure(status_code::invalid_argument,
                  "workdir '" + std::string(wanted) + "' is not a directory");
  }
  bool inside = is_below(real, start);
  for (const json::value& root : array_or_empty(scope, "roots")) {
    if (inside || !root.is_string()) continue;
    std::error_code ignored;
    const fs::path allowed = fs::canonical(std::string(root.get_string()), ignored);
    inside = !ignored && is_below(real, allowed);
  }
  if (!inside) {
    throw failure(status_code::permission_denied,
                  "workdir '" + std::string(wanted) + "' leads to " + real.string() +
                      ", outside the workspace " + start.string(),
                  "use a directory inside the workspace");
  }
  return real.string();
}

std::string explain(const outcome& result, const command_spec& spec) {
  if (!result.failure.empty()) return result.failure;
  if (result.timed_out) {
    return "The command was ended because it ran longer than " + std::to_string(spec.timeout_ms) +
           " ms. Give it a larger timeout_ms, or start it in the background with & and its output "
           "in a file.";
  }
  if (result.cancelled) return "The command was cancelled. What it had written is in the output.";
  if (result.signal) {
    const char* name = sigabbrev_np(*result.signal);
    return "The shell was ended by signal " + std::to_string(*result.signal) +
           (name != nullptr ? " (SIG" + std::string(name) + ")." : ".");
  }
  const int code = result.exit_code.value_or(0);
  if (code == 0) return {};
  std::string text = "The command ended with exit status " + std::to_string(code);
  if (code == 126) text += " (found, but cannot be executed)";
  if (code == 127) text += " (a program was not found)";
  if (code > 128 && code < 128 + 65) {
    const char* name = sigabbrev_np(code - 128);
    if (name != nullptr) text += std::string(" (probably SIG") + name + ")";
  }
  return text + ".";
}

std::string describe_remaining(const outcome& result) {
  std::string text = std::to_string(result.remaining_count) +
                     (result.remaining_count == 1 ? " process is" : " processes are") +
                     " still running: ";
  for (std::size_t i = 0; i < result.remaining.size(); ++i) {
    text += (i > 0 ? ", " : "") + result.remaining[i].second + " (" +
            std::to_string(result.remaining[i].first) + ")";
  }
  if (static_cast<std::size_t>(result.remaining_count) > result.remaining.size()) text += ", ...";
  text += ". They end with this program at the latest.";
  if (!result.spill_file.empty()) text += " Their further output is kept in " + result.spill_file;
  return text;
}

}  // namespace

shell_settings read_settings(const json::object& config, const fs::path& plugin_file,
                             const fs::path& program_file) {
  shell_settings settings;
  runner_settings& runner = settings.runner;
  runner.supervisor = find_supervisor(text_or(config, "supervisor"), plugin_file, program_file);
  runner.shell = text_or(config, "shell", "/bin/sh");
  if (!fs::path(runner.shell).is_absolute() || runner.shell.size() > workdir_bytes_max) {
    refuse("plugin.shell.shell = '" + runner.shell + "': expected the absolute path of a shell");
  }
  runner.environment = read_environment(config);
  runner.separate_streams = bool_or(config, "separate_streams", false);
  runner.kept_bytes_max = static_cast<std::size_t>(
      bytes_or(config, "output_bytes", output_bytes_default, output_bytes_min, output_bytes_max));
  runner.spill.directory = text_or(config, "spill_dir");
  if (!runner.spill.directory.empty() && !fs::path(runner.spill.directory).is_absolute()) {
    refuse("plugin.shell.spill_dir = '" + runner.spill.directory + "': expected an absolute path");
  }
  runner.spill.file_bytes_max =
      bytes_or(config, "spill_file_bytes", spill_file_bytes_default, output_bytes_max, INT64_MAX);
  runner.spill.directory_bytes_max = bytes_or(
      config, "spill_dir_bytes", spill_directory_bytes_default, output_bytes_max, INT64_MAX);
  settings.timeout_ms_cap = timeout_or(config, "timeout_cap", timeout_ms_cap_default);
  settings.timeout_ms =
      std::min(timeout_or(config, "timeout", timeout_ms_default), settings.timeout_ms_cap);
  return settings;
}

command_spec read_command(const json::object& arguments, const json::object& scope,
                          const shell_settings& settings, std::int64_t deadline_ms) {
  command_spec spec;
  spec.text = require_text(arguments, "command", "shell");
  if (spec.text.find_first_not_of(" \t\r\n") == std::string::npos) {
    refuse("shell: command is empty", "give the command to run");
  }
  if (spec.text.find('\0') != std::string::npos) refuse("shell: command holds a NUL character");
  if (spec.text.size() > command_bytes_max) {
    refuse("shell: command has " + std::to_string(spec.text.size()) + " bytes, at most " +
               std::to_string(command_bytes_max) + " are possible",
           "write it to a file and run that");
  }
  const double asked = number_or(arguments, "timeout_ms", settings.timeout_ms);
  if (!(asked >= 1)) {
    refuse("shell: timeout_ms is not positive",
           "give the milliseconds it may run, or leave it out");
  }
  auto timeout_ms = static_cast<std::int64_t>(std::min<double>(asked, settings.timeout_ms_cap));
  if (deadline_ms != INT64_MAX) {
    constexpr std::int64_t margin_ms = deadline_grace_ms + overdue_ms;
    const std::int64_t left = std::max(deadline_ms - margin_ms, deadline_ms / 2);
    timeout_ms = std::clamp<std::int64_t>(timeout_ms, 1, std::max<std::int64_t>(left, 1));
  }
  spec.timeout_ms = static_cast<std::uint32_t>(timeout_ms);
  spec.directory = resolve_directory(text_or(arguments, "workdir"), scope);
  return spec;
}

std::string result_body(const outcome& result, const command_spec& spec) {
  const bool ran = result.exit_code || result.signal;
  if (!ran && !result.timed_out && !result.cancelled && result.output.empty()) {
    throw failure(result.missing_directory ? status_code::not_found : status_code::unavailable,
                  "running a command: " + result.failure);
  }
  std::string output = result.output;
  if (result.remaining_count > 0) {
    if (!output.empty() && output.back() != '\n') output += '\n';
    output += "[" + describe_remaining(result) + "]\n";
  }
  json::object metadata;
  if (result.exit_code) metadata["exit_code"] = *result.exit_code;
  if (result.signal) metadata["signal"] = *result.signal;
  metadata["duration_ms"] = result.duration_ms;
  metadata["truncated"] = result.truncated;
  metadata["timed_out"] = result.timed_out;
  if (result.spill_file.empty()) {
    metadata["spill_file"] = nullptr;
  } else {
    metadata["spill_file"] = to_utf8(result.spill_file);
  }
  json::array remaining;
  for (const auto& [pid, name] : result.remaining) {
    remaining.push_back(json::object{{"pid", pid}, {"name", name}});
  }
  metadata["remaining_processes"] = std::move(remaining);
  metadata["remaining_count"] = result.remaining_count;

  json::object body;
  const std::string error = explain(result, spec);
  body["success"] = error.empty();
  body["output"] = std::move(output);
  if (error.empty()) {
    body["error"] = nullptr;
  } else {
    body["error"] = to_utf8(error);
  }
  body["metadata"] = std::move(metadata);
  return json::serialize(body);
}

}  // namespace rustic::shell
