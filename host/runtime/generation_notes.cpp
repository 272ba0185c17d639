#include "host/runtime/generation_notes.hpp"

#include <unistd.h>

#include <algorithm>
#include <rustic/json.hpp>
#include <rustic/status.hpp>
#include <tuple>

#include "host/runtime/config/files.hpp"
#include "host/runtime/limits.hpp"
#include "host/runtime/options.hpp"
#include "host/runtime/process_start.hpp"

namespace rustic::runtime {
namespace fs = std::filesystem;
namespace {

constexpr const char* extension = ".json";

// Only of a process that runs; throws failure for what is no note.
std::vector<served_generation> read_note(const fs::path& file) {
  std::vector<served_generation> out;
  const auto all = parse_object(config::read_file(file, generation_note_bytes_max));
  const auto process = int_or(all, "process");
  const auto started = process_start(process);
  if (started.empty() || started != text_or(all, "started")) return out;
  for (const auto& value : array_or_empty(all, "plugins")) {
    const auto* one = value.if_object();
    const auto generation = one ? int_or(*one, "generation") : 0;
    if (generation > 0 && out.size() < generations_noted_max)
      out.push_back(
          {std::string(text_or(*one, "path")), static_cast<std::uint32_t>(generation), process});
  }
  return out;
}

void remove_left(const fs::path& directory) {
  std::error_code problem;
  for (const auto& one : fs::directory_iterator(directory, problem)) {
    if (one.path().extension() != extension) continue;
    try {
      if (!read_note(one.path()).empty()) continue;
    } catch (const failure&) {  // half a note is of no use either
    }
    std::error_code ignored;
    fs::remove(one.path(), ignored);
  }
}
}  // namespace

generation_notes::~generation_notes() {
  write({});
}

fs::path generation_notes::file() const {
  return directory_ / (std::to_string(getpid()) + extension);
}

void generation_notes::write(std::map<std::string, std::uint32_t> serving) {
  std::erase_if(serving, [](const auto& one) { return one.second <= 1; });
  if (directory_.empty() || serving == written_) return;
  written_ = std::move(serving);
  std::error_code ignored;
  if (written_.empty()) {
    fs::remove(file(), ignored);
    return;
  }
  json::array plugins;
  for (const auto& [path, generation] : written_)
    if (plugins.size() < generations_noted_max)
      plugins.push_back({{"path", to_utf8(path)}, {"generation", generation}});
  const json::object all{
      {"process", getpid()}, {"started", process_start(getpid())}, {"plugins", std::move(plugins)}};
  try {
    config::write_atomically(file(), json::serialize(all) + "\n");
    remove_left(directory_);
  } catch (const failure&) {  // what it said before is no longer so
    fs::remove(file(), ignored);
  }
}

std::vector<served_generation> generation_notes::read(const fs::path& directory) {
  std::vector<served_generation> out;
  std::error_code problem;
  std::size_t files = 0;
  for (const auto& one : fs::directory_iterator(directory, problem)) {
    if (one.path().extension() != extension) continue;
    if (++files > generation_notes_max) break;
    try {
      auto note = read_note(one.path());
      out.insert(out.end(), note.begin(), note.end());
    } catch (const failure&) {  // half a file, or no file of ours
    }
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) {
    return std::tie(b.generation, a.process) < std::tie(a.generation, b.process);
  });
  return out;
}

fs::path generation_notes_directory(const options& with) {
  if (with.state_directory.empty()) return {};
  return with.state_directory / "generations";
}
}  // namespace rustic::runtime
