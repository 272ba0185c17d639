#include "kernel/abi/loader.hpp"

#include <algorithm>
#include <utility>

#include "kernel/abi/limits.hpp"
#include "kernel/abi/private_copy.hpp"
#include "kernel/sharded_lock.hpp"

namespace rustic::kernel::abi {

struct loader::record {
  plugin_file file;
  plugin_state state = plugin_state::declared;
  std::string reason;
  std::uint32_t generations = 0;
  bool activating = false;
  bool isolated = false;
  std::string replacement_problem;
  // Bindings of earlier generations that may have calls. A call that came for one and was answered
  // by an activation after the exchange runs on the later generation, so that waits for them too.
  std::vector<std::uint64_t> older;
  std::unique_ptr<plugin_instance> instance;
  std::vector<std::string> targets;
  std::vector<std::string> attributes;  // beside targets
};

// Holds the mutex, and says on which thread.
class loader::lifecycle {
 public:
  explicit lifecycle(loader& of) : of_(of), lock_(of.mutex_) {
    of_.lifecycle_thread_.store(thread_mark(), std::memory_order_relaxed);
  }
  ~lifecycle() { of_.lifecycle_thread_.store(0, std::memory_order_relaxed); }
  lifecycle(const lifecycle&) = delete;
  lifecycle& operator=(const lifecycle&) = delete;

 private:
  loader& of_;
  const std::scoped_lock<std::mutex> lock_;
};

// What the kernel calls at the first use of a declared target.
class loader::target_activator final : public activator {
 public:
  target_activator(loader& owner, record& plugin) : owner_(owner), plugin_(plugin) {}
  rai_status activate(std::string_view target, rai_service* out, std::string& error) override {
    return owner_.activate_target(plugin_, target, out, error);
  }

 private:
  loader& owner_;
  record& plugin_;
};

std::string_view state_name(plugin_state state) noexcept {
  switch (state) {
    case plugin_state::declared:
      return "declared";
    case plugin_state::active:
      return "active";
    case plugin_state::failed:
      return "failed";
    case plugin_state::unusable:
      return "unusable";
    case plugin_state::disabled:
      return "disabled";
  }
  return "unknown";
}

loader::loader(kernel& owner, settings with) : kernel_(owner), settings_(std::move(with)) {}
loader::~loader() {
  stop(default_grace_ms);
}

std::vector<std::string> loader::targets_of(const manifest& about,
                                            std::vector<std::string>& attributes) const {
  std::vector<std::string> targets;
  for (const auto& entry : about.provides) {
    if (entry.instances.empty()) {
      targets.push_back(entry.target());
      attributes.push_back(entry.attributes);
      continue;
    }
    if (!settings_.instance_names) continue;
    for (const auto& name : settings_.instance_names(entry)) {
      targets.push_back(entry.interface + "/" + name);
      attributes.push_back(entry.attributes);
    }
  }
  return targets;
}

void loader::add(const plugin_file& file, std::string disabled_because) {
  const lifecycle held(*this);
  auto made = std::make_unique<record>();
  made->file = file;
  if (!file.usable()) {
    made->state = plugin_state::unusable;
    made->reason = file.problem.empty() ? "shadowed by " + file.shadowed_by.string() : file.problem;
  } else if (!disabled_because.empty()) {
    made->state = plugin_state::disabled;
    made->reason = std::move(disabled_because);
  } else {
    made->targets = targets_of(file.about, made->attributes);
    for (std::size_t i = 0; i < made->targets.size(); ++i) {
      const auto done =
          kernel_.names().declare({made->targets[i], file.about.id, made->attributes[i]},
                                  std::make_shared<target_activator>(*this, *made));
      if (!done.ok() && made->reason.empty()) made->reason = done.message;
    }
  }
  records_.push_back(std::move(made));
}

std::vector<plugin_status> loader::list() const {
  std::scoped_lock lock(mutex_);
  std::vector<plugin_status> out;
  for (const auto& one : records_) {
    plugin_status status;
    status.file = one->file;
    status.state = one->state;
    status.reason = one->reason;
    status.generation = one->instance ? one->instance->generation() : 0;
    status.isolated = one->isolated;
    status.replacement_problem = one->replacement_problem;
    status.targets = one->targets;
    for (const auto& old : retired_)
      if (old.instance->id() == one->file.about.id) ++status.draining;
    out.push_back(std::move(status));
  }
  return out;
}

loader::record* loader::find_locked(std::string_view id) {
  for (const auto& one : records_)
    if (one->file.about.id == id && one->state != plugin_state::unusable) return one.get();
  return nullptr;
}

std::string loader::requirements_locked(record& plugin, std::vector<std::string>& path) {
  const auto& about = plugin.file.about;
  for (const auto& target : about.requires_targets) {
    if (std::find(plugin.targets.begin(), plugin.targets.end(), target) != plugin.targets.end())
      continue;  // its own
    const auto found = kernel_.names().find(target);
    if (!found) return "it needs " + target + ", which nothing offers";
    auto* other = find_locked(found->owner);
    if (!other || found->owner == about.id) continue;  // the program itself, or its own
    const auto problem = activate_locked(*other, path);
    if (!problem.empty())
      return "it needs " + target + " of plugin " + found->owner + ": " + problem;
  }
  return {};
}

struct loader::opening {
  const plugin_file& file;
  std::uint32_t generation;
  bool copied;
  const std::string* state;
};

// Leaves `out` as it is when there is a problem.
std::string loader::open_locked(const opening& what, std::unique_ptr<plugin_instance>& out,
                                bool& isolated) {
  const auto& file = what.file;
  const auto config =
      settings_.configuration ? settings_.configuration(file.about) : std::string("{}");
  std::optional<private_copy> copy;
  if (what.copied) {
    if (!std::exchange(swept_, true)) (void)sweep_private_copies(settings_.generation_directory);
    std::string problem;
    copy = private_copy::make(file.path, file.identity, settings_.generation_directory,
                              file.about.id, what.generation, problem);
    if (!copy) return problem;
  }
  const auto& image = copy ? copy->path() : file.path;
  std::optional<stand_in> other;
  if (settings_.isolate) other = settings_.isolate(file, image, config);
  auto made =
      std::make_unique<plugin_instance>(kernel_, file.about.id, what.generation, settings_.log);
  auto problem =
      made->start(other ? other->file : image, other ? other->config : config, what.state);
  if (!problem.empty()) {
    made->stop();
    return problem;
  }
  isolated = other.has_value();
  out = std::move(made);
  return {};
}

std::string loader::activate_locked(record& plugin, std::vector<std::string>& path) {
  if (plugin.state == plugin_state::active) return {};
  if (plugin.state == plugin_state::disabled || plugin.state == plugin_state::unusable)
    return plugin.reason;
  path.push_back(plugin.file.about.id);
  if (plugin.activating) {
    std::string cycle;
    for (auto at = std::find(path.begin(), path.end(), path.back()); at != path.end(); ++at) {
      if (!cycle.empty()) cycle += " -> ";
      cycle += *at;
    }
    path.pop_back();
    return "its requirements form a cycle: " + cycle;
  }
  plugin.activating = true;
  std::string problem;
  try {
    problem = requirements_locked(plugin, path);
    if (problem.empty()) {
      const bool copied = settings_.in_place && !settings_.in_place(plugin.file);
      problem = open_locked({plugin.file, plugin.generations + 1, copied, nullptr}, plugin.instance,
                            plugin.isolated);
      if (problem.empty()) {
        ++plugin.generations;
        opened_.push_back(&plugin);
        plugin.instance->offer();
      }
    }
  } catch (const std::exception& error) {
    problem = error.what();
  }
  plugin.activating = false;
  path.pop_back();
  plugin.state = problem.empty() ? plugin_state::active : plugin_state::failed;
  plugin.reason = problem;
  return problem;
}

std::string loader::activate(std::string_view id) {
  const lifecycle held(*this);
  auto* plugin = find_locked(id);
  if (!plugin) return "there is no plugin " + std::string(id);
  std::vector<std::string> path;
  return activate_locked(*plugin, path);
}

rai_status loader::activate_target(record& plugin, std::string_view target, rai_service* out,
                                   std::string& error) {
  // A call made inside a plugin's start, by way of an event's handler.
  if (lifecycle_thread_.load(std::memory_order_relaxed) == thread_mark()) {
    error = "plugin " + plugin.file.about.id +
            " cannot be opened by a call that comes from inside another plugin's start";
    return RAI_FAILED_PRECONDITION;
  }
  const lifecycle held(*this);
  std::vector<std::string> path;
  error = activate_locked(plugin, path);
  if (error.empty()) error = plugin.instance->service(target, *out);
  if (error.empty()) return RAI_OK;
  error = "plugin " + plugin.file.about.id + ": " + error;
  return RAI_FAILED_PRECONDITION;
}

// Puts every target of the plugin on the instance, but for those that another plugin offers. On a
// problem nothing has changed.
std::string loader::bind_locked(record& plugin, plugin_instance& instance,
                                std::vector<std::uint64_t>& replaced) {
  std::vector<rai_service> services(plugin.targets.size());
  for (std::size_t i = 0; i < plugin.targets.size(); ++i) {
    auto problem = instance.service(plugin.targets[i], services[i]);
    if (!problem.empty()) return problem;
  }
  for (std::size_t i = 0; i < plugin.targets.size(); ++i) {
    const auto done = kernel_.names().provide(
        {plugin.targets[i], plugin.file.about.id, plugin.attributes[i]}, services[i]);
    if (done.replaced != 0) replaced.push_back(done.replaced);
    if (!done.ok() && settings_.log)
      settings_.log(RAI_LOG_WARN, plugin.file.about.id, 0, done.message);
  }
  return {};
}

// What the generation that serves hands over; a failure costs the state and nothing else.
std::optional<std::string> loader::saved_locked(record& plugin) {
  if (!plugin.instance) return std::nullopt;
  std::string problem;
  auto out = plugin.instance->save(problem);
  if (!problem.empty() && settings_.log)
    settings_.log(RAI_LOG_WARN, plugin.file.about.id, 0,
                  "its state is not handed over to the next generation: " + problem);
  return out;
}

// `unwanted` is opened and of no use: to be stopped without the lock, which its last calls may
// want.
std::string loader::replace_locked(record& plugin, const plugin_file& file,
                                   std::vector<std::uint64_t>& replaced,
                                   std::unique_ptr<plugin_instance>& unwanted) {
  const auto& id = file.about.id;
  const auto draining = std::count_if(retired_.begin(), retired_.end(),
                                      [&](const retired& old) { return old.instance->id() == id; });
  if (draining >= static_cast<std::ptrdiff_t>(generations_draining_max))
    return std::to_string(draining) + " older generations still have calls in flight";
  record after;
  after.file = file;
  after.targets = targets_of(file.about, after.attributes);
  std::vector<std::string> path{id};
  auto problem = requirements_locked(after, path);
  if (!problem.empty()) return problem;
  const auto state = saved_locked(plugin);
  std::unique_ptr<plugin_instance> next;
  problem = open_locked({file, plugin.generations + 1, true, state ? &*state : nullptr}, next,
                        after.isolated);
  if (!problem.empty()) return problem;
  problem = bind_locked(after, *next, replaced);
  if (!problem.empty()) {
    unwanted = std::move(next);
    return problem;
  }
  for (const auto& old : plugin.targets)
    if (std::find(after.targets.begin(), after.targets.end(), old) == after.targets.end())
      if (const auto gone = kernel_.names().withdraw(old, id); gone.replaced != 0)
        replaced.push_back(gone.replaced);
  next->offer();
  if (plugin.instance) {
    const auto offered = plugin.instance->retire();
    replaced.insert(replaced.end(), offered.begin(), offered.end());
  }
  ++plugin.generations;
  plugin.file = file;
  plugin.targets = std::move(after.targets);
  plugin.attributes = std::move(after.attributes);
  plugin.isolated = after.isolated;
  plugin.state = plugin_state::active;
  plugin.reason.clear();
  std::erase_if(plugin.older, [this](auto g) { return kernel_.names().drained(g); });
  plugin.older.insert(plugin.older.end(), replaced.begin(), replaced.end());
  if (plugin.instance)
    retired_.push_back({std::move(plugin.instance), plugin.older});
  else
    opened_.push_back(&plugin);
  plugin.instance = std::move(next);
  return {};
}

std::string loader::reload(std::string_view id, const std::filesystem::path& path,
                           const std::optional<file_identity>& expected) {
  return exchange(id, inspect_plugin(path), nullptr, expected);
}

std::string loader::reload(const plugin_file& seen) {
  return exchange(seen.about.id, inspect_plugin(seen.listed), &seen, seen.identity);
}

std::string loader::exchange(std::string_view id, plugin_file file, const plugin_file* seen,
                             const std::optional<file_identity>& expected) {
  reap();
  std::vector<std::uint64_t> replaced;
  std::unique_ptr<plugin_instance> unwanted;
  std::string problem;
  {
    const lifecycle held(*this);
    auto* plugin = find_locked(id);
    if (!plugin) return "there is no plugin " + std::string(id);
    file.directory = seen ? seen->directory : plugin->file.directory;
    if (!file.problem.empty())
      problem = file.path.string() + ": " + file.problem;
    else if (file.about.id != id)
      problem = file.path.string() + " is the plugin " + file.about.id + ", not " + std::string(id);
    else if (expected && !expected->same_content(file.identity))
      problem = file.path.string() + " has changed since it was looked at";
    try {
      if (problem.empty()) problem = replace_locked(*plugin, file, replaced, unwanted);
    } catch (const std::exception& error) {
      problem = error.what();
    }
    plugin->replacement_problem = problem;
  }
  if (unwanted) unwanted->stop();
  watch_drain(replaced);
  return problem;
}

void loader::watch_drain(const std::vector<std::uint64_t>& generations) {
  if (!settings_.on_drained) return;
  for (const auto generation : generations)
    kernel_.names().when_drained(generation, settings_.on_drained);
}

void loader::reap() {
  std::vector<retired> done;
  {
    std::scoped_lock lock(mutex_);
    for (auto at = retired_.begin(); at != retired_.end();) {
      const bool over = std::all_of(at->generations.begin(), at->generations.end(),
                                    [&](auto g) { return kernel_.names().drained(g); });
      if (over) {
        done.push_back(std::move(*at));
        at = retired_.erase(at);
      } else {
        ++at;
      }
    }
  }
  for (auto& one : done) one.instance->stop();
}

std::string loader::unload(std::string_view id, std::uint32_t drain_ms) {
  std::vector<std::uint64_t> generations;
  std::unique_ptr<plugin_instance> instance;
  {
    std::scoped_lock lock(mutex_);
    auto* plugin = find_locked(id);
    if (!plugin) return "there is no plugin " + std::string(id);
    for (const auto& target : plugin->targets)
      if (const auto gone = kernel_.names().withdraw(target, id); gone.replaced != 0)
        generations.push_back(gone.replaced);
    generations.insert(generations.end(), plugin->older.begin(), plugin->older.end());
    plugin->state = plugin_state::disabled;
    plugin->reason = "unloaded";
    plugin->targets.clear();
    plugin->attributes.clear();
    plugin->isolated = false;
    instance = std::move(plugin->instance);
    std::erase(opened_, plugin);
  }
  if (!instance) return {};
  const auto offered = instance->retire();
  generations.insert(generations.end(), offered.begin(), offered.end());
  for (const auto generation : generations) {
    if (kernel_.names().wait_drained(generation, drain_ms)) continue;
    kernel_.cancel_generation(generation);
    if (kernel_.names().wait_drained(generation, default_grace_ms)) continue;
    {
      std::scoped_lock lock(mutex_);
      retired_.push_back({std::move(instance), generations});
    }
    watch_drain(generations);
    return "calls to it are still running after they were cancelled";
  }
  instance->stop();
  return {};
}

std::vector<std::string> loader::stop(std::uint32_t grace_ms) {
  std::vector<std::string> left;
  std::vector<retired> all;
  {
    std::scoped_lock lock(mutex_);
    for (auto& one : retired_) all.push_back(std::move(one));
    retired_.clear();
    for (auto* plugin : opened_) {
      retired one;
      one.instance = std::move(plugin->instance);
      one.generations = one.instance->retire();
      all.push_back(std::move(one));
    }
    opened_.clear();
    for (const auto& plugin : records_) {
      auto generations = plugin->older;
      for (const auto& target : plugin->targets)
        if (const auto gone = kernel_.names().withdraw(target, plugin->file.about.id);
            gone.replaced != 0)
          generations.push_back(gone.replaced);
      plugin->targets.clear();
      for (auto& one : all)
        if (one.instance && one.instance->id() == plugin->file.about.id)
          one.generations.insert(one.generations.end(), generations.begin(), generations.end());
      if (plugin->state == plugin_state::active) plugin->state = plugin_state::declared;
    }
  }
  for (auto one = all.rbegin(); one != all.rend(); ++one) {
    if (!one->instance) continue;
    bool over = true;
    for (const auto generation : one->generations)
      over = kernel_.names().wait_drained(generation, grace_ms) && over;
    if (over) {
      one->instance->stop();
    } else {
      left.push_back(one->instance->id());
      (void)one->instance.release();  // its calls still use it: it lives until the process ends
    }
  }
  return left;
}
}  // namespace rustic::kernel::abi
