// Writes a plugin project: an example of that kind, under the name that was asked for.
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "host/cli/commands.hpp"
#include "host/cli/limits.hpp"

namespace rustic::cli {
namespace {
namespace fs = std::filesystem;

// The example's folder is its plugin's id; files and symbols have it with underscores.
struct project_template {
  std::string_view kind, lang, example;
};
constexpr std::array templates{
    project_template{"tool", "c", "hello-c"},
    project_template{"tool", "cpp", "word-count"},
    project_template{"provider", "c", "plain-model"},
    project_template{"provider", "cpp", "line-model"},
    project_template{"storage", "c", "plain-store"},
    project_template{"storage", "cpp", "file-store"},
    project_template{"policy", "c", "size-limit"},
    project_template{"policy", "cpp", "call-budget"},
    project_template{"engine", "c", "plain-agent"},
    project_template{"engine", "cpp", "brief-agent"},
};

// Targets that every CMake project has, and the file that every project has.
constexpr std::array<std::string_view, 11> taken_names{"all",     "clean",   "edit-cache", "help",
                                                       "install", "package", "plugin",     "test",
                                                       "rebuild", "rustic",  "rustic-ai"};

failure refused(std::string message, std::string hint) {
  return failure(status_code::invalid_argument, std::move(message), std::move(hint));
}

failure name_taken(std::string_view name) {
  return refused("making a plugin: the name \"" + std::string(name) + "\" has a meaning already",
                 "add a word to it, such as my-" + std::string(name));
}

void require_name(const std::string& name) {
  const bool letters = std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
  if (!letters || name.size() > plugin_name_bytes_max || name.front() < 'a' || name.back() == '-' ||
      name.find("--") != std::string::npos)
    throw refused("making a plugin: \"" + name + "\" is no name for one",
                  "small letters, digits and single hyphens, a letter first, at most " +
                      std::to_string(plugin_name_bytes_max) + " characters: my-tool");
  if (std::find(taken_names.begin(), taken_names.end(), name) != taken_names.end())
    throw name_taken(name);
}

const project_template& template_for(const new_plugin_options& wanted) {
  for (const auto& one : templates)
    if (one.kind == wanted.kind && one.lang == wanted.lang) return one;
  throw refused(
      "making a plugin: there is no template of the kind " + wanted.kind + " in " + wanted.lang,
      "the kinds are tool, provider, storage, policy and engine, the languages c and cpp");
}

std::string with_underscores(std::string_view name) {
  std::string out(name);
  std::replace(out.begin(), out.end(), '-', '_');
  return out;
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (auto at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
}

// Removed again unless it is kept.
class new_directory {
 public:
  explicit new_directory(fs::path target) : target_(std::move(target)) {
    auto name = target_.string() + ".XXXXXX";
    if (!mkdtemp(name.data()))
      throw failure(status_code::unavailable,
                    "making the directory " + target_.string() + ": " + strerror(errno),
                    "--to DIR names another place");
    path_ = name;
  }
  ~new_directory() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  new_directory(const new_directory&) = delete;
  new_directory& operator=(const new_directory&) = delete;
  const fs::path& path() const noexcept { return path_; }
  void keep() {
    fs::permissions(path_, fs::perms(0755));
    // Fails when somebody has made the target meanwhile.
    if (renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, target_.c_str(), RENAME_NOREPLACE) != 0)
      throw failure(status_code::already_exists,
                    "making the directory " + target_.string() + ": " + strerror(errno));
    path_.clear();
  }

 private:
  fs::path target_, path_;
};

void copy_project(const fs::path& from, const fs::path& to, std::string_view example,
                  std::string_view name) {
  const auto rename = [&](std::string& text) {
    replace_all(text, example, name);
    replace_all(text, with_underscores(example), with_underscores(name));
  };
  for (const auto& entry : fs::directory_iterator(from)) {
    if (!entry.is_regular_file()) continue;
    std::ifstream in(entry.path(), std::ios::binary);
    std::string text((std::istreambuf_iterator<char>(in)), {});
    auto file = entry.path().filename().string();
    rename(file);
    rename(text);
    if (fs::exists(to / file)) throw name_taken(name);
    std::ofstream out(to / file, std::ios::binary);
    out << text << std::flush;
    if (!in || !out)
      throw failure(status_code::unavailable, "writing " + (to / file).string(),
                    "is there room, and may it be written?");
  }
}
}  // namespace

exit_code plugin_new_command(program& with, const arguments& given) {
  const auto& name = given.subject;
  require_name(name);
  const auto& chosen = template_for(given.new_plugin);

  std::error_code problem;
  const auto prefix = fs::read_symlink("/proc/self/exe", problem).parent_path().parent_path();
  const auto source = prefix / "share/rustic-ai/examples" / chosen.example;
  if (!fs::is_directory(source, problem))
    throw failure(status_code::not_found,
                  "making a plugin: the template " + source.string() + " is missing",
                  "reinstall rustic-ai");

  const fs::path shown = given.new_plugin.to.empty() ? name : given.new_plugin.to;
  const auto target = (with.workspace() / shown).lexically_normal();
  if (fs::symlink_status(target, problem).type() != fs::file_type::not_found)
    throw failure(status_code::already_exists,
                  "making a plugin: " + shown.string() + " exists already",
                  "choose another name, or --to DIR");
  new_directory made(target.has_filename() ? target : target.parent_path());
  copy_project(source, made.path(), chosen.example, name);
  made.keep();

  // CMake finds the package by itself below /usr, and beside each bin directory of PATH.
  std::string where;
  const bool installed = fs::exists(prefix / "lib/cmake/rustic/rustic-config.cmake", problem);
  if (installed && prefix != "/usr" && prefix != "/usr/local")
    where = " -DCMAKE_PREFIX_PATH=" + prefix.string();
  std::printf("A %s named %s stands in %s. Now:\n\n", given.new_plugin.kind.c_str(), name.c_str(),
              shown.c_str());
  std::printf("  cd %s && cmake -B build%s && cmake --build build\n", shown.c_str(), where.c_str());
  std::printf("  ctest --test-dir build --output-on-failure\n");
  std::printf("  rustic-ai plugin install build/%s.so\n", name.c_str());
  if (!installed)
    std::printf(
        "\nThe SDK is not beside this program: first  cmake --install BUILD --prefix DIR,\n"
        "then add  -DCMAKE_PREFIX_PATH=DIR  to the first command.\n");
  return exit_code::done;
}
}  // namespace rustic::cli
