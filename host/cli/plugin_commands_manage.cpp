// Installing, removing and switching plugins. Running programs notice through the files.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "host/cli/plugin_commands.hpp"
#include "host/cli/plugin_survey.hpp"
#include "host/runtime/config/files.hpp"
#include "host/runtime/host_services.hpp"
#include "host/runtime/limits.hpp"

namespace rustic::cli {
namespace {
namespace fs = std::filesystem;

[[noreturn]] void refuse(std::string what, std::string hint = {},
                         status_code code = status_code::failed_precondition) {
  throw failure(code, std::move(what), std::move(hint));
}

// The directory, made when missing, in which nobody else can put plugins.
void prepare_directory(const fs::path& directory) {
  std::error_code problem;
  if (!fs::exists(directory, problem)) {
    fs::path made;
    for (const auto& part : directory) {
      made /= part;
      if (mkdir(made.c_str(), 0755) != 0 && errno != EEXIST && errno != EROFS)
        refuse("making the directory " + made.string() + ": " + strerror(errno), {},
               status_code::unavailable);
    }
  }
  struct stat info {};
  if (stat(directory.c_str(), &info) != 0 || !S_ISDIR(info.st_mode))
    refuse(directory.string() + " is no directory", "move away what is in its place");
  if (info.st_uid != geteuid()) refuse(directory.string() + " belongs to another user", "chown it");
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0)
    refuse("others may write to " + directory.string(), "chmod go-w " + directory.string());
}

// A copy beside the place that it is for; gone unless it is put there.
class staged_file {
 public:
  staged_file(const fs::path& source, const fs::path& directory) {
    const auto bytes = config::read_file(source, runtime::plugin_file_bytes_max);
    std::string name = (directory / ".install-XXXXXX").string();
    const int made = mkostemp(name.data(), O_CLOEXEC);
    if (made < 0)
      refuse("writing to " + directory.string() + ": " + strerror(errno), {},
             status_code::unavailable);
    path_ = name;
    std::size_t written = 0;
    while (written < bytes.size()) {
      const auto count = write(made, bytes.data() + written, bytes.size() - written);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) break;
      written += static_cast<std::size_t>(count);
    }
    const bool good = written == bytes.size() && fchmod(made, 0644) == 0 && fsync(made) == 0;
    const int cause = errno;
    close(made);
    if (good) return;
    (void)unlink(path_.c_str());
    refuse("writing " + name + ": " + strerror(cause), {}, status_code::unavailable);
  }
  ~staged_file() {
    if (!path_.empty()) (void)unlink(path_.c_str());
  }
  staged_file(const staged_file&) = delete;
  staged_file& operator=(const staged_file&) = delete;
  const fs::path& path() const noexcept { return path_; }

  void put(const fs::path& target) {
    if (rename(path_.c_str(), target.c_str()) != 0)
      refuse("replacing " + target.string() + ": " + strerror(errno), {}, status_code::unavailable);
    path_.clear();
    flush_directory(target.parent_path());
  }
  static void flush_directory(const fs::path& directory) {
    const int opened = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (opened < 0) return;
    (void)fsync(opened);
    close(opened);
  }

 private:
  fs::path path_;
};

// Where the plugin goes: over the file of its id that is there already, else ID.so.
fs::path target_for(const plugin_survey& survey, const kernel::abi::manifest& about, bool force) {
  const surveyed_plugin* shipped = nullptr;
  for (const auto& one : survey.plugins) {
    if (one.file.about.id != about.id || !one.file.problem.empty()) continue;
    if (one.file.listed.parent_path() == survey.user_directory) return one.file.listed;
    if (survey.shipped(one.file)) shipped = &one;
  }
  if (shipped && !force)
    refuse(
        "\"" + about.id + "\" is a plugin of the program itself, " + shipped->file.listed.string(),
        "--force has yours used in its place");
  const auto target = survey.user_directory / (about.id + ".so");
  struct stat info {};
  if (lstat(target.c_str(), &info) != 0 || force) return target;
  const auto there = kernel::abi::inspect_plugin(target);
  refuse(target.string() + " is there and is " +
             (there.about.id.empty() ? "no plugin" : "the plugin \"" + there.about.id + "\""),
         "--force replaces it");
}

// What the configuration has to say before anything calls it; tools need nothing.
void tell_next_step(const plugin_survey& survey, const kernel::abi::manifest& about) {
  const auto& section = object_or_empty(survey.settings.plugin_sections, about.id);
  for (const auto& entry : about.provides) {
    if (entry.interface == "rustic.interceptor" && !section.contains("before"))
      std::printf(
          "It is a policy; put it in front of tools with\n  [plugin.%s]\n  before = "
          "[\"rustic.tool/*\"]\n",
          about.id.c_str());
    else if (entry.interface == "rustic.agent")
      std::printf("It is an engine; give it to an agent with\n  [agents.NAME]\n  engine = \"%s\"\n",
                  entry.name.c_str());
    else if (entry.interface == "rustic.storage")
      std::printf("It is a storage; use it with\n  [storage]\n  backend = \"%s\"\n",
                  entry.name.c_str());
    else if (entry.interface == "rustic.provider" && !entry.type.empty())
      std::printf("It is a provider; use it with\n  [providers.NAME]\n  type = \"%s\"\n",
                  entry.type.c_str());
    else
      continue;
    return;
  }
}

void install_one(const plugin_survey& survey, const fs::path& source, bool force) {
  staged_file staged(source, survey.user_directory);
  const auto file = kernel::abi::inspect_plugin(staged.path());
  if (!file.problem.empty())
    refuse("installing " + source.string() + ": " + file.problem,
           "rustic-ai plugin validate " + source.string() + " checks it");
  const auto& about = file.about;
  const auto target = target_for(survey, about, force);
  const auto hash = runtime::hash_of_plugin_file(staged.path());
  // Known before it is there: a program that runs takes it up without asking.
  survey.ledger.change([&](runtime::ledger_state& all) {
    all.trust(hash, about.id, "installed", runtime::unix_now_ms());
    auto& known = all.plugins[about.id];
    known.deaths_unix_ms.clear();
    known.last_death.clear();
    known.quarantined = false;
  });
  staged.put(target);
  std::printf("Installed %s %s as %s\n", about.id.c_str(), about.version.c_str(), target.c_str());
  tell_next_step(survey, about);
}

void change(const plugin_survey& survey, const std::string& id,
            const std::function<void(runtime::ledger_plugin&)>& edit) {
  survey.ledger.change([&](runtime::ledger_state& all) { edit(all.plugins[id]); });
}
}  // namespace

exit_code plugin_install(program& with, const arguments& given) {
  const fs::path source(given.subject);
  std::vector<fs::path> files;
  std::error_code problem;
  if (fs::is_directory(source, problem)) {
    for (const auto& entry : fs::directory_iterator(source, problem))
      if (entry.path().extension() == ".so") files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    if (files.empty())
      refuse("there is no plugin in " + source.string(), "plugins are files NAME.so",
             status_code::invalid_argument);
  } else {
    if (!fs::exists(source, problem))
      refuse("there is no file " + source.string(), "name a plugin file, or a directory of them",
             status_code::invalid_argument);
    files.push_back(source);
  }
  const plugin_survey survey(with);
  prepare_directory(survey.user_directory);
  bool all = true;
  for (const auto& file : files) {
    try {
      install_one(survey, file, given.force);
    } catch (const failure& refused) {
      if (files.size() == 1) throw;
      print_error(refused.problem());
      all = false;
    }
  }
  return all ? exit_code::done : exit_code::configuration;
}

exit_code plugin_remove(program& with, const arguments& given) {
  const plugin_survey survey(with);
  const surveyed_plugin* found = nullptr;
  for (const auto& one : survey.plugins)
    if (one.file.listed.parent_path() == survey.user_directory &&
        (one.file.about.id == given.subject || one.file.listed.filename() == given.subject))
      found = &one;
  if (!found) {
    const auto& other = survey.at(given.subject);
    refuse(other.file.listed.string() + " is not in your plugin directory",
           "rustic-ai plugin disable " + other.name() + " switches it off",
           status_code::invalid_argument);
  }
  const auto& file = found->file.listed;
  if (unlink(file.c_str()) != 0)
    refuse("removing " + file.string() + ": " + strerror(errno), {}, status_code::unavailable);
  (void)unlink((file.string() + ".json").c_str());
  staged_file::flush_directory(survey.user_directory);
  survey.ledger.change([&](runtime::ledger_state& all) {
    const auto& id = found->file.about.id;
    if (id.empty()) return;
    all.plugins.erase(id);
    std::erase_if(all.trusted, [&](const auto& one) { return one.second.id == id; });
  });
  std::printf("Removed %s\n", file.c_str());
  return exit_code::done;
}

exit_code plugin_enable(program& with, const arguments& given) {
  const plugin_survey survey(with);
  const auto& one = survey.at(given.subject);
  const auto id = one.name();
  change(survey, id, [](runtime::ledger_plugin& known) {
    known.disabled = false;
    known.quarantined = false;
    known.deaths_unix_ms.clear();
    known.last_death.clear();
  });
  const auto still = runtime::disabled_because(id, survey.settings, survey.ledger.read());
  if (!still.empty())
    refuse("the plugin \"" + id + "\" is " + still,
           "rustic-ai config explain plugin." + id + ".enabled tells where that stands");
  std::printf("%s is switched on%s\n", id.c_str(),
              one.known.quarantined ? "; its deaths are forgotten" : "");
  if (!one.file.usable())
    with.notice(one.file.listed.string() + " cannot be used: " + one.reason());
  return exit_code::done;
}

exit_code plugin_disable(program& with, const arguments& given) {
  const plugin_survey survey(with);
  const auto id = survey.at(given.subject).name();
  change(survey, id, [](runtime::ledger_plugin& known) { known.disabled = true; });
  std::printf("%s is switched off\n", id.c_str());
  return exit_code::done;
}

exit_code plugin_reload(program& with, const arguments& given) {
  const plugin_survey survey(with);
  const auto& one = survey.at(given.subject);
  if (!one.file.usable())
    refuse("reloading " + one.name() + ": " + one.reason(),
           "rustic-ai plugin doctor may know more");
  if (!one.disabled.empty())
    refuse("the plugin \"" + one.name() + "\" is " + one.disabled, "switch it on first");
  const auto hash =
      survey.shipped(one.file) ? std::string() : runtime::hash_of_plugin_file(one.file.path);
  survey.ledger.change([&](runtime::ledger_state& all) {
    if (!hash.empty()) all.trust(hash, one.file.about.id, "reloaded", runtime::unix_now_ms());
    ++all.plugins[one.file.about.id].reloads;
  });
  std::printf("Programs that run open %s %s anew\n", one.name().c_str(),
              one.file.about.version.c_str());
  return exit_code::done;
}
}  // namespace rustic::cli
