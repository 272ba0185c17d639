#include "host/runtime/plugin_keeper.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "host/runtime/host_services.hpp"
#include "host/runtime/limits.hpp"
#include "kernel/kernel.hpp"

namespace rustic::runtime {
namespace {

using kernel::abi::plugin_file;
using kernel::abi::plugin_state;
using kernel::abi::plugin_status;

constexpr const char* died_topic = "rustic.plugin.died";
constexpr std::string_view busy_generations = "still have calls in flight";

const plugin_file* usable_file(const std::vector<plugin_file>& found, std::string_view id) {
  for (const auto& file : found)
    if (file.about.id == id && file.usable()) return &file;
  return nullptr;
}

const plugin_status* status_of(const std::vector<plugin_status>& known, std::string_view id) {
  for (const auto& one : known)
    if (one.file.about.id == id && one.file.usable()) return &one;
  return nullptr;
}

bool is_there(const std::filesystem::path& path) {
  struct stat info {};
  return lstat(path.c_str(), &info) == 0;
}

// Whether what loader::reload answered passes by itself.
bool is_busy(std::string_view problem) {
  return problem.find(busy_generations) != std::string_view::npos;
}

std::string offers_of(const kernel::abi::manifest& about) {
  std::string out;
  for (const auto& entry : about.provides) {
    if (entry.interface != "rustic.tool") continue;
    out += (out.empty() ? ": " : ", ") + entry.name;
  }
  return out;
}
}  // namespace

plugin_keeper::plugin_keeper(const options& with, kernel::kernel& owner, std::function<void()> wake)
    : options_(with),
      directories_(paths_of(with.plugin_directories)),
      file_(ledger_file(with)),
      wake_(std::move(wake)),
      notes_(generation_notes_directory(with)),
      ledger_(file_.read()) {
  deaths_told_ = {owner.events(), owner.events().subscribe(died_topic, &on_death, this)};
}

plugin_keeper::~plugin_keeper() {
  stop_watching();
  deaths_told_.reset();
  write_deaths();
}

bool plugin_keeper::in_place(const plugin_file& file) const {
  return place(file, options_).in_place;
}

std::optional<kernel::abi::stand_in> plugin_keeper::isolate(const plugin_file& file,
                                                            const std::filesystem::path& image,
                                                            const std::string& config) {
  const auto where = place(file, options_);
  if (!where.isolated) return std::nullopt;
  const auto& id = file.about.id;
  const auto refuse = [&](const std::string& why) {
    throw std::runtime_error("it has to run in a process of its own (" + where.because + "), but " +
                             why + "; [plugin." + id + "] isolation = \"none\" trusts it");
  };
  if (!cell_) refuse("the plugin \"cell\" of the program is missing");
  if (!disabled_because("cell", options_, ledger()).empty()) refuse("\"cell\" is switched off");
  ledger_plugin known;
  {
    std::scoped_lock lock(state_mutex_);
    known = ledger_.of(id);
    const auto fresh = deaths_.find(id);
    if (fresh != deaths_.end()) {
      known.quarantined = known.quarantined || fresh->second.quarantined;
      known.deaths_unix_ms.insert(known.deaths_unix_ms.end(), fresh->second.deaths_unix_ms.begin(),
                                  fresh->second.deaths_unix_ms.end());
    }
  }
  return kernel::abi::stand_in{
      *cell_, cell_configuration(file, image, config, targets_(file.about), options_, known)};
}

void plugin_keeper::begin(kernel::abi::loader& plugins, const std::vector<plugin_file>& found,
                          targets_function targets) {
  loader_ = &plugins;
  targets_ = std::move(targets);
  cell_ = find_cell(found, options_);
  for (const auto& file : found)
    plugins.add(file, disabled_because(file.about.id, options_, ledger()));
}

ledger_state plugin_keeper::ledger() const {
  std::scoped_lock lock(state_mutex_);
  return ledger_;
}

bool plugin_keeper::shipped(const plugin_file& file) const {
  return file.directory < options_.plugin_directories.size() &&
         options_.plugin_directories[file.directory].shipped;
}

void plugin_keeper::tell(bool problem, std::string text) const {
  if (options_.log) options_.log(problem ? RAI_LOG_WARN : RAI_LOG_INFO, "plugins", 0, text);
  show({problem, std::move(text)});
}

void plugin_keeper::show(plugin_notice notice) const {
  std::scoped_lock lock(told_mutex_);
  if (told_) told_(std::move(notice));
}

// On whichever thread the cell noticed it: nothing here waits.
void plugin_keeper::on_death(void* self, rai_str, rai_str body) noexcept {
  auto& me = *static_cast<plugin_keeper*>(self);
  try {
    const auto told = parse_object(to_view(body));
    const std::string id(text_or(told, "plugin"));
    const bool quarantined = bool_or(told, "quarantined");
    {
      std::scoped_lock lock(me.state_mutex_);
      const bool room = me.deaths_.size() < deaths_waiting_max || me.deaths_.contains(id);
      if (id.empty() || !room) return;
      auto& one = me.deaths_[id];
      if (one.deaths_unix_ms.size() < ledger_deaths_max)
        one.deaths_unix_ms.push_back(int_or(told, "unix_ms", unix_now_ms()));
      one.last_death = std::string(text_or(told, "reason"));
      one.quarantined = one.quarantined || quarantined;
    }
    if (me.wake_) me.wake_();
    // The cell has written it to the log.
    me.show({true, "plugin " + id + " died: " + std::string(text_or(told, "reason")) +
                       (quarantined ? "; it is quarantined now: rustic-ai plugin enable " + id
                                    : "; the next call starts it again")});
  } catch (...) {  // no JSON, or no memory: the cell counts for itself
  }
}

void plugin_keeper::write_deaths() {
  std::map<std::string, ledger_plugin, std::less<>> fresh;
  {
    std::scoped_lock lock(state_mutex_);
    fresh = deaths_;
  }
  if (fresh.empty()) return;
  try {
    auto state = file_.change([&](ledger_state& all) {
      for (const auto& [id, one] : fresh) {
        auto& known = all.plugins[id];
        known.deaths_unix_ms.insert(known.deaths_unix_ms.end(), one.deaths_unix_ms.begin(),
                                    one.deaths_unix_ms.end());
        known.last_death = one.last_death;
        known.quarantined = known.quarantined || one.quarantined;
      }
    });
    std::scoped_lock lock(state_mutex_);
    ledger_ = std::move(state);
    for (const auto& [id, one] : fresh) {
      auto& left = deaths_[id];
      const auto count = std::min(left.deaths_unix_ms.size(), one.deaths_unix_ms.size());
      left.deaths_unix_ms.erase(left.deaths_unix_ms.begin(),
                                left.deaths_unix_ms.begin() + static_cast<std::ptrdiff_t>(count));
      if (left.deaths_unix_ms.empty()) deaths_.erase(id);
    }
  } catch (const failure& problem) {
    if (options_.log)
      options_.log(RAI_LOG_WARN, "plugins", 0,
                   "a plugin's death is not remembered: " + problem.problem().message);
  }
}

void plugin_keeper::watch(std::function<void(plugin_notice)> told) {
  std::scoped_lock lock(work_mutex_);
  {
    std::scoped_lock telling(told_mutex_);
    told_ = std::move(told);
  }
  for (const auto& one : loader_->list())
    if (!one.file.problem.empty()) refused_[one.file.listed.string()] = one.file.identity;
  std::vector<std::filesystem::path> watched;
  for (std::size_t i = 0; i < directories_.size(); ++i)
    if (!options_.plugin_directories[i].shipped) watched.push_back(directories_[i]);
  watcher_ = std::make_unique<plugin_watcher>(
      std::move(watched), file_.file(),
      [this](const plugin_watcher::ask_busy& ask_busy) { return look(ask_busy); });
}

void plugin_keeper::stop_watching() {
  watcher_.reset();
  std::scoped_lock lock(told_mutex_);
  told_ = nullptr;
}

void plugin_keeper::look_again_in(std::chrono::milliseconds time) {
  again_ = again_ ? std::min(*again_, time) : time;
}

std::optional<std::chrono::milliseconds> plugin_keeper::look(
    const plugin_watcher::ask_busy& ask_busy) {
  std::scoped_lock lock(work_mutex_);
  again_.reset();
  try {
    const auto before = ledger();
    auto now = file_.read();
    if (now.problem.empty()) {
      std::scoped_lock state(state_mutex_);
      ledger_ = std::move(now);
    }
    const auto found = kernel::abi::find_plugins(directories_);
    const auto busy = ask_busy();
    follow_due(found);
    follow_ledger(before, found);
    const auto known = loader_->list();
    for (const auto& file : found) {
      if (shipped(file) || busy.contains(file.listed)) continue;
      if (file.usable())
        follow_file(file, known);
      else if (file.shadowed_by.empty())
        follow_broken(file, known);
    }
    follow_gone(known, found, busy);
  } catch (...) {  // the next change is looked at again
    tell(true, "looking at the plugin directories failed: " + current_error().message);
  }
  return again_;
}

// What `rustic-ai plugin` asked for in another process.
void plugin_keeper::follow_ledger(const ledger_state& before, const files& found) {
  const auto now = ledger();
  std::map<std::string, bool> ids;
  for (const auto* state : {&before, &now})
    for (const auto& [id, one] : state->plugins) ids[id] = true;
  for (const auto& [id, ignored] : ids) {
    const auto& was = before.of(id);
    const auto& is = now.of(id);
    if (was == is) continue;
    if (is.disabled && !was.disabled) {
      const auto left = unload(id);
      tell(!left.empty(), "plugin " + id + " is switched off" + (left.empty() ? "" : "; " + left));
      continue;
    }
    const bool wanted = (was.disabled && !is.disabled) || is.reloads > was.reloads ||
                        (was.quarantined && !is.quarantined);
    if (!wanted || is.disabled) continue;
    if (const auto* file = usable_file(found, id)) take_up_asked(*file);
  }
}

// What was asked for while too many older generations had calls. A file that has changed since then
// is none of that.
void plugin_keeper::follow_due(const files& found) {
  for (const auto& [id, identity] : std::exchange(reloads_due_, {})) {
    const auto* file = usable_file(found, id);
    if (file && file->identity.same_content(identity) && !ledger().of(id).disabled)
      take_up_asked(*file);
  }
}

void plugin_keeper::take_up_asked(const plugin_file& file) {
  const bool known = status_of(loader_->list(), file.about.id) != nullptr;
  const auto problem = take_up(file, known);
  if (is_busy(problem)) reloads_due_[file.about.id] = file.identity;
  announce_taken(file, known, problem);
}

bool plugin_keeper::is_welcome(const plugin_file& file) const {
  if (shipped(file) || place(file, options_).dev) return true;
  const auto state = ledger();
  if (state.trusted.empty()) return false;
  return state.trusted.contains(hash_of_plugin_file(file.path));
}

void plugin_keeper::follow_file(const plugin_file& file, const statuses& known) {
  const auto& id = file.about.id;
  const auto* status = status_of(known, id);
  const auto listed = file.listed.string();
  if (status && status->file.path == file.path &&
      status->file.identity.same_content(file.identity)) {
    refused_.erase(listed);
    std::scoped_lock state(state_mutex_);
    pending_.erase(id);
    if (!removals_.contains(id) || status->state != plugin_state::disabled) return;
  } else if (const auto told = refused_.find(listed);
             told != refused_.end() && told->second.same_content(file.identity)) {
    return;
  }
  if (status && !disabled_because(id, options_, ledger()).empty()) return;
  {
    std::scoped_lock state(state_mutex_);
    const auto waiting = pending_.find(id);
    if (waiting != pending_.end() && waiting->second.listed == file.listed &&
        waiting->second.identity.same_content(file.identity))
      return;
  }
  if (!is_welcome(file)) {
    {
      std::scoped_lock state(state_mutex_);
      pending_[id] = file;
    }
    tell(false, std::string(status ? "changed" : "new") + " plugin " + id + " " +
                    file.about.version + ": /plugin accept " + id + " uses it");
    return;
  }
  removals_.erase(id);
  announce_taken(file, status != nullptr, take_up(file, status != nullptr));
}

void plugin_keeper::follow_broken(const plugin_file& file, const statuses& known) {
  auto& told = refused_[file.listed.string()];
  if (told == file.identity) return;
  told = file.identity;
  const plugin_status* serves = nullptr;
  for (const auto& one : known)
    if (one.file.usable() && one.file.listed == file.listed) serves = &one;
  tell(true, file.listed.filename().string() + " cannot be used: " + file.problem +
                 (serves && serves->generation > 0
                      ? "; generation " + std::to_string(serves->generation) + " goes on"
                      : ""));
}

// A linker removes a file to write it anew, so what is gone has to stay away for a moment.
void plugin_keeper::follow_gone(const statuses& known, const files& found,
                                const plugin_watcher::busy_files& busy) {
  const auto now = std::chrono::steady_clock::now();
  const auto grace = std::chrono::milliseconds(removal_grace_ms);
  for (const auto& one : known) {
    const auto& id = one.file.about.id;
    if (!one.file.usable() || shipped(one.file) || one.state == plugin_state::disabled) continue;
    if (busy.contains(one.file.listed) || is_there(one.file.listed)) {
      removals_.erase(id);
      continue;
    }
    const auto* other = usable_file(found, id);
    if (other && !shipped(*other)) continue;  // a file with another name: it was followed
    const auto since = removals_.try_emplace(id, removal{now}).first->second.since;
    if (now - since < grace) {
      look_again_in(std::chrono::ceil<std::chrono::milliseconds>(grace - (now - since)));
      continue;
    }
    if (other) {  // the program's own, which the file had hidden
      removals_.erase(id);
      announce_taken(*other, true, take_up(*other, true));
      continue;
    }
    const auto left = unload(id);
    tell(!left.empty(), "plugin " + id + " is gone" + (left.empty() ? "" : "; " + left));
  }
}

// Empty, or what is still running.
std::string plugin_keeper::unload(const std::string& id) {
  auto left = loader_->unload(id, unload_drain_ms);
  note_generations();
  return left;
}

// Before a word is said of it: whoever asks then is told.
void plugin_keeper::note_generations() {
  std::map<std::string, std::uint32_t> serving;
  for (const auto& one : loader_->list())
    if (one.generation > 0) serving[one.file.listed.string()] = one.generation;
  notes_.write(std::move(serving));
}

// Empty, or why not.
std::string plugin_keeper::take_up(const plugin_file& file, bool known) {
  const auto& id = file.about.id;
  {
    std::scoped_lock state(state_mutex_);
    pending_.erase(id);
  }
  if (!known) {
    loader_->add(file, disabled_because(id, options_, ledger()));
    return {};
  }
  const auto was = forgive(id);
  auto problem = loader_->reload(file);
  note_generations();
  if (problem.empty()) return problem;
  if (was.quarantined) {
    std::scoped_lock state(state_mutex_);
    deaths_[id] = was;  // the old one goes on, and so does what it did
  }
  return problem;
}

void plugin_keeper::announce_taken(const plugin_file& file, bool known,
                                   const std::string& problem) {
  const auto& id = file.about.id;
  const auto list = loader_->list();
  const auto* status = status_of(list, id);
  const auto generation = status ? std::to_string(status->generation) : "0";
  if (!is_busy(problem)) delayed_.erase(file.listed.string());
  if (problem.empty()) {
    refused_.erase(file.listed.string());
    tell(false, known ? "plugin " + id + " " + file.about.version + ": generation " + generation +
                            " serves"
                      : "new plugin " + id + " " + file.about.version + offers_of(file.about));
    return;
  }
  const bool serves = status && status->generation > 0;
  const auto goes_on = serves ? "; generation " + generation + " goes on" : std::string();
  if (is_busy(problem)) {
    look_again_in(std::chrono::milliseconds(reload_again_ms));
    auto& told = delayed_[file.listed.string()];
    if (told == file.identity) return;
    told = file.identity;
    return tell(false, "plugin " + id + " " + file.about.version + " waits: " + problem + goes_on);
  }
  refused_[file.listed.string()] = file.identity;
  tell(true, "plugin " + id + ": the new file is not used: " + problem + goes_on);
}

void plugin_keeper::trust(const plugin_file& file, std::string_view how) {
  if (file_.file().empty()) return;
  const auto hash = hash_of_plugin_file(file.path);
  auto state =
      file_.change([&](ledger_state& all) { all.trust(hash, file.about.id, how, unix_now_ms()); });
  std::scoped_lock lock(state_mutex_);
  ledger_ = std::move(state);
}

// Its deaths are forgotten; what they were.
ledger_plugin plugin_keeper::forgive(const std::string& id) {
  ledger_plugin was;
  {
    std::scoped_lock lock(state_mutex_);
    was = ledger_.of(id);
    deaths_.erase(id);
  }
  if (was.deaths_unix_ms.empty() && !was.quarantined) return was;
  auto state = file_.change([&](ledger_state& all) {
    auto& one = all.plugins[id];
    one.deaths_unix_ms.clear();
    one.last_death.clear();
    one.quarantined = false;
  });
  std::scoped_lock lock(state_mutex_);
  ledger_ = std::move(state);
  return was;
}

void plugin_keeper::reload(std::string_view id) {
  std::scoped_lock lock(work_mutex_);
  const auto found = kernel::abi::find_plugins(directories_);
  const auto* file = usable_file(found, id);
  const auto known = loader_->list();
  const auto* status = status_of(known, id);
  if (!file) {
    std::string why = status ? "its file is gone or cannot be used" : "there is none of that name";
    for (const auto& one : found)
      if ((status && one.listed == status->file.listed) || one.about.id == id)
        if (!one.problem.empty()) why = one.listed.string() + ": " + one.problem;
    throw failure(status_code::not_found, "reloading plugin " + std::string(id) + ": " + why,
                  "rustic-ai plugin list shows what there is");
  }
  if (!shipped(*file)) trust(*file, "reloaded");
  const auto problem = take_up(*file, status != nullptr);
  if (!problem.empty())
    throw failure(status_code::failed_precondition,
                  "reloading plugin " + std::string(id) + ": " + problem,
                  status && status->generation > 0
                      ? "generation " + std::to_string(status->generation) + " goes on"
                      : "");
  refused_.erase(file->listed.string());
}

void plugin_keeper::accept(std::string_view id) {
  std::scoped_lock lock(work_mutex_);
  plugin_file file;
  {
    std::scoped_lock state(state_mutex_);
    const auto waiting = pending_.find(id);
    if (waiting == pending_.end())
      throw failure(status_code::not_found,
                    "no file of plugin " + std::string(id) + " waits to be accepted",
                    "/plugin reload " + std::string(id) + " opens its file anew");
    file = waiting->second;
  }
  const auto now = kernel::abi::inspect_plugin(file.listed);
  if (!now.problem.empty())
    throw failure(status_code::failed_precondition,
                  file.listed.string() + " cannot be used: " + now.problem);
  if (!now.identity.same_content(file.identity))
    throw failure(status_code::aborted, file.listed.string() + " has changed again",
                  "a new line will tell of it");
  trust(file, "accepted");
  const auto known = loader_->list();
  const auto* status = status_of(known, id);
  const auto problem = take_up(file, status != nullptr);
  if (problem.empty()) return;
  refused_[file.listed.string()] = file.identity;
  throw failure(status_code::failed_precondition,
                "plugin " + std::string(id) + ": the new file is not used: " + problem,
                status && status->generation > 0
                    ? "generation " + std::to_string(status->generation) + " goes on"
                    : "");
}

std::vector<plugin_report> plugin_keeper::list() const {
  std::vector<plugin_report> out;
  const auto all = loader_->list();
  std::scoped_lock lock(state_mutex_);
  for (const auto& one : all) {
    auto& made = out.emplace_back();
    made.status = one;
    made.where = place(one.file, options_);
    made.known = ledger_.of(one.file.about.id);
    if (one.state == plugin_state::disabled) {
      made.removed = !is_there(one.file.listed);
      const auto why = disabled_because(one.file.about.id, options_, ledger_);
      if (!why.empty()) made.status.reason = why;
    }
    const auto waiting = pending_.find(one.file.about.id);
    if (waiting != pending_.end() && one.file.usable())
      made.pending = waiting->second.about.version + " in " + waiting->second.listed.string();
  }
  for (const auto& [id, file] : pending_) {
    if (status_of(all, id)) continue;
    auto& made = out.emplace_back();
    made.status.file = file;
    made.where = place(file, options_);
    made.pending = file.about.version + " in " + file.listed.string();
  }
  return out;
}
}  // namespace rustic::runtime
