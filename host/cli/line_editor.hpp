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

// What a word at the cursor could become.
struct completion {
  std::size_t word_bytes = 0;  // of the text before the cursor, which the offers replace
  std::vector<std::string> offers;
};

// libedit on the terminal. Text is UTF-8 whatever the locale says (the constructor sets LC_CTYPE).
// While it lives the terminal is asked to mark pasted text, which is inserted as a whole and never
// run line by line. Threads: the main thread.
class line_editor {
 public:
  // `history_file` is read now and gets each line; its directory is made when missing, and when it
  // cannot be written the history is that of this run.
  line_editor(std::filesystem::path history_file, signal_watch& signals);
  ~line_editor();
  line_editor(const line_editor&) = delete;
  line_editor& operator=(const line_editor&) = delete;

  enum class ending { line, end_of_input, interrupted, terminated };
  struct result {
    ending how = ending::line;
    std::string text;             // may have several lines
    bool anything_typed = false;  // before the interruption
  };
  // A line ending in a backslash goes on in the next one.
  result read(const std::string& prompt);
  // What Tab offers for the text before the cursor; called with that text.
  void complete_with(std::function<completion(const std::string&)> function);

  // Lines that come while the person may be typing: when `descriptor` is readable and nothing has
  // been typed yet, what `take` gives is shown above the prompt. Else it waits for the caller.
  void show_news(int descriptor, std::function<std::vector<std::string>()> take);

  struct state;

 private:
  result read_one(const std::string& prompt);
  void remember(const std::string& text);
  std::unique_ptr<state> state_;
};
}  // namespace rustic::cli
