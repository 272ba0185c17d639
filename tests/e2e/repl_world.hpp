// repl_world.hpp - for tests: a home that is empty, a fake model, and the program between them.
#pragma once
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>

#include "model_server.hpp"
#include "repl_terminal.hpp"

namespace rustic::e2e {

inline constexpr auto npos = std::string::npos;
inline constexpr std::string_view ctrl_c = "\x03", ctrl_d = "\x04";

struct repl_world {
  explicit repl_world(std::vector<fakes::step> steps) : server({std::move(steps), {}}) {
    std::string name = (std::filesystem::temp_directory_path() / "rustic-repl-XXXXXX").string();
    home = mkdtemp(name.data());
    work = home / "w";
    std::filesystem::create_directories(work);
    with.environment = {{"HOME", home.string()},
                        {"PATH", "/usr/local/bin:/usr/bin:/bin"},
                        {"TERM", "xterm-256color"},
                        {"OPENAI_API_KEY", "secret-key"},
                        {"OPENAI_BASE_URL", server.base_url()},
                        {"OPENAI_MODEL", "fake-model"}};
    with.words = {RUSTIC_AI};
    with.directory = work.string();
  }
  ~repl_world() {
    terminal.reset();
    std::filesystem::remove_all(home);
  }

  pty_program& start() {
    terminal = std::make_unique<pty_program>(with);
    return *terminal;
  }
  // Started, and the first prompt is there.
  pty_program& at_prompt() {
    auto& t = start();
    (void)wait_prompt(0);
    return t;
  }
  bool wait_prompt(std::size_t from) { return terminal->wait_for("> ", from) != npos; }
  void configure(const std::string& toml) {
    const auto file = home / "config.toml";
    std::ofstream(file) << toml;
    with.words = {RUSTIC_AI, "run", "--config", file.string()};
  }
  void write(const std::string& name, const std::string& content) {
    std::ofstream(work / name, std::ios::binary) << content;
  }
  // The program's line, and everything of it until it asks for the next.
  std::string run(const std::string& line, std::string_view until) {
    const auto from = terminal->mark();
    terminal->send(line + "\r");
    const auto end = terminal->wait_for(until, from);
    if (end == npos) return "(never came)\n" + terminal->raw().substr(from);
    terminal->wait_for("> ", end);
    return terminal->raw().substr(from);
  }
  std::filesystem::path history() const { return home / ".local/state/rustic-ai/history"; }

  fakes::model_server server;
  std::filesystem::path home, work;
  pty_program::options with;
  std::unique_ptr<pty_program> terminal;
};

inline bool has(std::string_view text, std::string_view part) {
  return text.find(part) != npos;
}
}  // namespace rustic::e2e
