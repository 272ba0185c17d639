#include "host/runtime/circuit_notes.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <rustic/status.hpp>
#include <utility>

#include "host/runtime/config/files.hpp"
#include "host/runtime/host_services.hpp"
#include "host/runtime/limits.hpp"
#include "host/runtime/process_start.hpp"

namespace rustic::runtime {
namespace fs = std::filesystem;
namespace {

void remove_old(const fs::path& directory) {
  std::error_code problem;
  const auto now = fs::file_time_type::clock::now();
  std::vector<std::pair<fs::file_time_type, fs::path>> files;
  for (const auto& one : fs::directory_iterator(directory, problem))
    if (one.path().extension() == ".json")
      files.emplace_back(one.last_write_time(problem), one.path());
  std::sort(files.rbegin(), files.rend());
  for (std::size_t i = 0; i < files.size(); ++i)
    if (i >= circuit_files_max || now - files[i].first > std::chrono::hours(24))
      fs::remove(files[i].second, problem);
}
}  // namespace

void circuit_notes::take(std::string_view event) noexcept {
  if (directory_.empty()) return;
  try {
    const auto told = parse_object(event, "circuit");
    circuit_note one;
    one.target = text_or(told, "target");
    one.state = text_or(told, "state");
    if (one.target.empty() || one.state.empty()) return;
    one.failures = int_or(told, "failures");
    one.since_unix_ms = unix_now_ms();
    one.until_unix_ms = one.since_unix_ms + int_or(told, "retry_in_ms");
    {
      std::scoped_lock lock(mutex_);
      if (one.state == "closed")
        open_.erase(one.target);
      else if (open_.size() < circuits_noted_max || open_.contains(one.target))
        open_.insert_or_assign(one.target, one);
      changed_ = true;
    }
    wake_();
  } catch (...) {  // no event of that form: nothing to note
  }
}

void circuit_notes::write() {
  json::array circuits;
  {
    std::scoped_lock lock(mutex_);
    if (!std::exchange(changed_, false)) return;
    for (const auto& [target, one] : open_)
      circuits.push_back({{"target", to_utf8(target)},
                          {"state", one.state},
                          {"failures", one.failures},
                          {"since_unix_ms", one.since_unix_ms},
                          {"until_unix_ms", one.until_unix_ms}});
  }
  const std::int64_t process = getpid();
  const auto file = directory_ / (std::to_string(process) + ".json");
  std::error_code problem;
  if (circuits.empty()) {
    fs::remove(file, problem);
    return;
  }
  try {
    const json::object all{{"process", process},
                           {"started", process_start(process)},
                           {"circuits", std::move(circuits)}};
    config::write_atomically(file, json::serialize(all) + "\n");
    remove_old(directory_);
  } catch (const failure&) {  // the disk is full, or the directory is not ours
  }
}

std::vector<circuit_note> circuit_notes::read(const fs::path& directory) {
  std::vector<circuit_note> out;
  std::error_code problem;
  for (const auto& file : fs::directory_iterator(directory, problem)) {
    if (file.path().extension() != ".json" || out.size() >= circuits_noted_max) continue;
    try {
      const auto all = parse_object(config::read_file(file.path(), circuit_file_bytes_max));
      const auto process = int_or(all, "process");
      const auto started = process_start(process);
      const bool running = !started.empty() && started == text_or(all, "started");
      for (const auto& value : array_or_empty(all, "circuits")) {
        const auto* one = value.if_object();
        if (!one || text_or(*one, "target").empty()) continue;
        out.push_back({std::string(text_or(*one, "target")), std::string(text_or(*one, "state")),
                       int_or(*one, "failures"), int_or(*one, "since_unix_ms"),
                       int_or(*one, "until_unix_ms"), process, running});
      }
    } catch (const failure&) {  // half a file, or no file of ours
    }
  }
  std::sort(out.begin(), out.end(),
            [](const auto& a, const auto& b) { return a.since_unix_ms > b.since_unix_ms; });
  return out;
}
}  // namespace rustic::runtime
