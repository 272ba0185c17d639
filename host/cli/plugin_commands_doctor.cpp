// Looks at everything that keeps plugins from working, and says what to do about it.
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "host/cli/finding.hpp"
#include "host/cli/plugin_commands.hpp"
#include "host/cli/plugin_survey.hpp"

namespace rustic::cli {
namespace {
namespace fs = std::filesystem;

class examination {
 public:
  explicit examination(program& with) : with_(with), survey_(with) {
    configuration();
    directories();
    plugins();
    cell();
    private_copies();
  }
  const std::vector<finding>& findings() const noexcept { return findings_; }

 private:
  void say(gravity how, std::string subject, std::string text, std::string hint = {}) {
    findings_.push_back({how, std::move(subject), std::move(text), std::move(hint)});
  }
  void configuration();
  void directories();
  void plugins();
  void plugin(const surveyed_plugin& one);
  void cell();
  void private_copies();

  program& with_;
  const plugin_survey survey_;
  std::vector<finding> findings_;
};

void examination::configuration() {
  if (!with_.configuration().ok())
    say(gravity::problem, "configuration", "it has errors", "rustic-ai config validate lists them");
  if (!survey_.known.problem.empty())
    say(gravity::problem, survey_.ledger.file().string(), survey_.known.problem,
        "move it away; what is switched off or trusted is then forgotten");
}

void examination::directories() {
  const auto paths = runtime::paths_of(survey_.settings.plugin_directories);
  for (std::size_t i = 0; i < paths.size(); ++i) {
    const auto name = paths[i].string();
    struct stat info {};
    if (stat(paths[i].c_str(), &info) != 0) {
      const bool shipped = survey_.settings.plugin_directories[i].shipped;
      if (shipped)
        say(gravity::problem, name, std::string(strerror(errno)) + "; the program's own plugins",
            "install the program anew");
      else if (errno != ENOENT || paths[i] != survey_.user_directory)
        say(gravity::note, name, strerror(errno), "make it, or take it out of [plugins] paths");
      continue;
    }
    std::size_t count = 0;
    for (const auto& one : survey_.plugins) count += one.file.directory == i ? 1 : 0;
    if (!S_ISDIR(info.st_mode))
      say(gravity::problem, name, "it is no directory", "move away what is in its place");
    else if (info.st_uid != 0 && info.st_uid != geteuid())
      say(gravity::problem, name, "it belongs to another user; nothing in it is used", "chown it");
    else if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0)
      say(gravity::problem, name, "others may write to it; nothing in it is used",
          "chmod go-w " + name);
    else if (access(name.c_str(), R_OK | X_OK) != 0)
      say(gravity::problem, name, "it cannot be read", "chmod u+rx " + name);
    else
      say(gravity::good, name,
          std::to_string(count) + (count == 1 ? " plugin file" : " plugin files"));
  }
}

void examination::plugin(const surveyed_plugin& one) {
  const auto file = one.file.listed.string();
  const auto name = one.name();
  const auto state = one.state();
  if (state == "unusable") {
    const bool mode = one.file.problem.find("written by others") != std::string::npos;
    if (one.file.problem.starts_with("its directory")) return;  // said of the directory
    say(gravity::problem, file, one.file.problem,
        mode ? "chmod go-w " + file : "build it anew with the SDK, or remove it");
  } else if (state == "shadowed") {
    say(gravity::note, file, one.reason(), "remove one of them if that is not meant");
  } else if (state == "disabled") {
    say(gravity::note, name, one.disabled);
  } else if (state == "quarantined") {
    say(gravity::problem, name, one.reason(),
        "rustic-ai plugin validate " + file + " looks for the cause");
  } else if (state == "incomplete") {
    say(gravity::problem, name, one.reason(), "install a plugin that offers it, or switch one on");
  }
}

void examination::plugins() {
  for (const auto& one : survey_.plugins) plugin(one);
}

void examination::cell() {
  std::size_t isolated = 0;
  for (const auto& one : survey_.plugins)
    isolated += one.file.usable() && one.disabled.empty() && one.where.isolated ? 1 : 0;
  std::vector<kernel::abi::plugin_file> files;
  for (const auto& one : survey_.plugins) files.push_back(one.file);
  const auto found = runtime::find_cell(files, survey_.settings);
  const auto disabled = runtime::disabled_because("cell", survey_.settings, survey_.known);
  const auto how = isolated > 0 ? gravity::problem : gravity::note;
  const auto count = std::to_string(isolated);
  if (!found)
    say(how, "cell", "the plugin that isolates others is missing; it is needed by " + count,
        "install the program anew");
  else if (!disabled.empty())
    say(how, "cell", "it is " + disabled + "; it is needed by " + count,
        "rustic-ai plugin enable cell");
  else
    say(gravity::good, "cell", "isolates " + count + (isolated == 1 ? " plugin" : " plugins"));
  const auto version =
      syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (version > 0)
    say(gravity::good, "landlock", "version " + std::to_string(version));
  else
    say(gravity::note, "landlock",
        "this kernel does not have it (" + std::string(strerror(errno)) +
            "): isolated plugins may read and write your files",
        "a kernel of 5.13 or later with lsm=landlock confines them");
}

void examination::private_copies() {
  auto place = survey_.settings.cache_directory;
  std::error_code problem;
  while (!fs::exists(place, problem) && place.has_relative_path()) place = place.parent_path();
  struct statvfs info {};
  if (statvfs(place.c_str(), &info) != 0 || access(place.c_str(), W_OK | X_OK) != 0)
    say(gravity::problem, place.string(),
        "it cannot be written: plugins that did not come with the program are opened from copies "
        "there",
        "set XDG_CACHE_HOME to a directory of yours");
  else if ((info.f_flag & ST_NOEXEC) != 0)
    say(gravity::problem, place.string(), "nothing in it may be executed, plugins neither",
        "set XDG_CACHE_HOME to a directory that is not mounted noexec");
}
}  // namespace

std::vector<finding> plugin_findings(program& with) {
  return examination(with).findings();
}

exit_code plugin_doctor(program& with, const arguments& given) {
  const bool good = print_findings(plugin_findings(with), given.json,
                                   "Nothing keeps plugins from working.", "There are problems.");
  return good ? exit_code::done : exit_code::configuration;
}
}  // namespace rustic::cli
