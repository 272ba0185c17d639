// host/cli/line_editor.hpp - one line from the person, with editing, history and continuation.
#pragma once
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "host/cli/signals.hpp"

namespace rustic::cli {

// libedit on the terminal. Threads: the main thread.
class line_editor {
 public:
  // `history_file` is read now and written after each line; its directory is made when missing.
  line_editor(std::filesystem::path history_file, signal_watch& signals);
  ~line_editor();
  line_editor(const line_editor&) = delete;
  line_editor& operator=(const line_editor&) = delete;

  enum class ending { line, end_of_input, interrupted, terminated };
  struct result {
    ending how = ending::line;
    std::string text;
  };
  // A line ending in a backslash goes on in the next one.
  result read(const std::string& prompt);
  // What Tab offers for the text before the cursor; called with that text.
  void complete_with(std::function<std::vector<std::string>(const std::string&)> function);

  struct state;

 private:
  result read_one(const std::string& prompt);
  std::unique_ptr<state> state_;
};
}  // namespace rustic::cli
