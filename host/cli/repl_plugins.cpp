#include "host/cli/repl_plugins.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <rustic/status.hpp>

#include "host/cli/table.hpp"
#include "host/cli/terminal.hpp"
#include "host/runtime/limits.hpp"

namespace rustic::cli {
namespace {
constexpr std::size_t notice_columns_max = 500;

std::string state_of(const runtime::plugin_report& one) {
  using kernel::abi::plugin_state;
  if (!one.pending.empty() && one.status.generation == 0) return "waiting";
  if (!one.status.file.usable())
    return one.status.file.shadowed_by.empty() ? "unusable" : "shadowed";
  if (one.removed) return "removed";
  if (one.status.state == plugin_state::disabled) return "disabled";
  if (one.known.quarantined) return "quarantined";
  if (one.status.state == plugin_state::failed) return "failed";
  return one.status.state == plugin_state::active ? "active" : "ready";
}

std::string about(const runtime::plugin_report& one) {
  if (!one.pending.empty()) return "/plugin accept takes up " + one.pending;
  if (!one.status.replacement_problem.empty())
    return "the new file is not used: " + one.status.replacement_problem;
  if (one.removed) return one.status.file.listed.string() + " is gone";
  if (one.known.quarantined) return "it died of " + one.known.last_death;
  if (!one.status.reason.empty()) return one.status.reason;
  return one.status.file.about.description;
}
}  // namespace

notice_box::notice_box() : wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
notice_box::~notice_box() {
  if (wake_ >= 0) close(wake_);
}

void notice_box::put(runtime::plugin_notice notice) {
  std::scoped_lock lock(mutex_);
  if (waiting_.size() >= runtime::plugin_notices_max)
    ++dropped_;
  else
    waiting_.push_back(std::move(notice));
  const std::uint64_t one = 1;
  (void)!write(wake_, &one, sizeof one);
}

std::vector<std::string> notice_box::take() {
  std::scoped_lock lock(mutex_);
  std::uint64_t count = 0;
  (void)!read(wake_, &count, sizeof count);
  std::vector<std::string> out;
  for (const auto& one : waiting_)
    out.push_back((one.problem ? "! " : "* ") + one_visible_line(one.text, notice_columns_max));
  if (dropped_ > 0)
    out.push_back("! " + std::to_string(dropped_) + " more; /plugins shows how things are");
  waiting_.clear();
  dropped_ = 0;
  return out;
}

repl_plugins::repl_plugins(runtime::plugin_keeper& keeper) : keeper_(keeper) {
  try {
    keeper_.watch([this](runtime::plugin_notice notice) { news_.put(std::move(notice)); });
  } catch (const failure& problem) {
    news_.put({true, problem.problem().message + "; /plugin reload NAME takes up a new file"});
  }
}

repl_plugins::~repl_plugins() {
  keeper_.stop_watching();
}

std::string repl_plugins::table(std::size_t width) const {
  std::vector<std::vector<std::string>> rows;
  for (const auto& one : keeper_.list()) {
    const auto& file = one.status.file;
    const auto generation = one.status.generation;
    const auto name = file.about.id.empty() ? file.listed.filename().string() : file.about.id;
    rows.push_back({visible(name), visible(file.about.version), state_of(one),
                    generation == 0 ? "-" : std::to_string(generation),
                    one.where.isolated && file.usable() ? "cell" : "", visible(about(one))});
  }
  if (rows.empty()) return "There are no plugins.\n";
  return to_table({"ID", "VERSION", "STATE", "GEN", "IN", "ABOUT"}, rows, width);
}

std::string repl_plugins::obey(const std::string& words) {
  const auto space = words.find(' ');
  const auto what = words.substr(0, space);
  auto name = space == std::string::npos ? "" : words.substr(space + 1);
  name.erase(0, std::min(name.find_first_not_of(' '), name.size()));
  if ((what != "reload" && what != "accept") || name.empty())
    return "/plugin reload NAME opens a plugin's file anew,\n"
           "/plugin accept NAME uses a file that you were told of; /plugins lists them.";
  if (what == "reload")
    keeper_.reload(name);
  else
    keeper_.accept(name);
  for (const auto& one : keeper_.list()) {
    if (one.status.file.about.id != name || !one.status.file.usable()) continue;
    const auto generation = one.status.generation;
    return visible(name) + " " + visible(one.status.file.about.version) +
           (generation == 0 ? " is ready."
                            : ": generation " + std::to_string(generation) + " serves.");
  }
  return visible(name) + " is ready.";
}

std::vector<std::string> repl_plugins::words() const {
  std::vector<std::string> out{"reload", "accept"};
  for (const auto& one : keeper_.list())
    if (!one.status.file.about.id.empty()) out.push_back(one.status.file.about.id);
  return out;
}
}  // namespace rustic::cli
