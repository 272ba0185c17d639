#include "settings.hpp"

#include <rustic/status.hpp>

namespace rustic::cell {
namespace {
namespace fs = std::filesystem;

constexpr char program_name[] = "rustic-ai-cell";

[[noreturn]] void refuse(std::string message) {
  throw failure(status_code::invalid_argument, "configuration of the cell: " + std::move(message));
}

std::string find_program(std::string_view configured, const fs::path& plugin_file,
                         const fs::path& program_file) {
  if (!configured.empty()) return std::string(configured);
  const fs::path below = fs::path("libexec") / "rustic-ai" / program_name;
  std::vector<fs::path> places;
  if (!plugin_file.empty())  // PREFIX/lib/rustic-ai/plugins/cell.so
    places.push_back(plugin_file.parent_path().parent_path().parent_path().parent_path() / below);
  if (!program_file.empty()) {  // PREFIX/bin/rustic-ai
    places.push_back(program_file.parent_path().parent_path() / below);
    places.push_back(program_file.parent_path() / program_name);
  }
  std::error_code error;
  for (const fs::path& place : places)
    if (fs::is_regular_file(place, error)) return place.lexically_normal().string();
  // Not found: the error of starting it then names the place where it belongs.
  return places.empty() ? program_name : places.front().lexically_normal().string();
}

bool plain(std::string_view text) {
  return text.find('\0') == std::string_view::npos;
}

std::vector<std::string> texts(const json::object& from, std::string_view key) {
  std::vector<std::string> out;
  for (const auto& item : array_or_empty(from, key)) {
    const auto* text = item.if_string();
    if (!text || !plain(*text)) refuse("isolated." + std::string(key) + " is no list of texts");
    out.emplace_back(*text);
  }
  return out;
}

std::vector<std::string> variables(const json::object& from) {
  std::vector<std::string> out;
  for (const auto& [name, value] : object_or_empty(from, "environment")) {
    const auto* text = value.if_string();
    if (!text || name.empty() || name.contains('=') || !plain(name) || !plain(*text) ||
        out.size() >= environment_entries_max)
      refuse("isolated.environment: '" + std::string(name) + "' cannot be passed on");
    out.push_back(std::string(name) + "=" + std::string(*text));
  }
  return out;
}

std::uint64_t number(const json::object& from, std::string_view key, std::uint64_t fallback) {
  const auto value = int_or(from, key, static_cast<std::int64_t>(fallback));
  if (value < 0) refuse("isolated.limits." + std::string(key) + " is negative");
  return static_cast<std::uint64_t>(value);
}

}  // namespace

cell_settings read_settings(const json::object& config, const fs::path& plugin_file,
                            const fs::path& program_file) {
  const auto& isolated = object_or_empty(config, "isolated");
  cell_settings out;
  out.program = find_program(text_or(config, "program"), plugin_file, program_file);
  out.id = require_text(isolated, "id", "configuration of the cell");
  out.file = require_text(isolated, "file", "configuration of the cell");
  out.config = json::serialize(object_or_empty(isolated, "config"));
  out.targets = texts(isolated, "targets");
  out.write_paths = texts(isolated, "write_paths");
  if (out.write_paths.size() > write_paths_max)
    refuse("more than " + std::to_string(write_paths_max) + " write_paths");
  out.environment = variables(isolated);
  for (const auto& at : array_or_empty(isolated, "deaths_unix_ms"))
    if (at.is_int64()) out.deaths_unix_ms.push_back(at.get_int64());
  out.quarantined = bool_or(isolated, "quarantined");
  const auto& limits = object_or_empty(isolated, "limits");
  out.memory_bytes = number(limits, "memory_bytes", out.memory_bytes);
  out.open_files = number(limits, "open_files", out.open_files);
  out.processes = number(limits, "processes", out.processes);
  out.cpu_seconds = number(limits, "cpu_seconds", out.cpu_seconds);
  out.cancel_grace_ms = duration_ms_or(config, "cancel_grace", out.cancel_grace_ms);
  out.ping_after_ms = duration_ms_or(config, "ping_after", out.ping_after_ms);
  out.pong_timeout_ms = duration_ms_or(config, "pong_timeout", out.pong_timeout_ms);
  out.load_timeout_ms = duration_ms_or(config, "load_timeout", out.load_timeout_ms);
  return out;
}

}  // namespace rustic::cell
