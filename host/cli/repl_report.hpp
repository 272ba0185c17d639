// host/cli/repl_report.hpp - one turn as the person at the terminal sees it.
#pragma once
#include <map>
#include <string>

#include "host/cli/terminal.hpp"
#include "host/cli/turn_report.hpp"

namespace rustic::cli {

// The answer as it comes, each tool call with the beginning of its output, and how it all ended.
// All on standard output. Threads: the main thread.
class repl_report final : public turn_report {
 public:
  // `color`: escape sequences may be written at all. `thoughts`: what the model says to itself is
  // shown. `columns`: of the terminal, 0 unknown.
  repl_report(bool color, bool thoughts, std::size_t columns);

  void begin(const std::string& session, const turn_options& turn) override;
  void event(const runtime::call_event& event) override;
  void end(const json::object& result) override;
  // Ends the line that is being written, for something else that wants the terminal.
  void settle();

 private:
  struct shown_call {
    std::string name;
    std::string line;  // of its output, as far as it came
    std::size_t lines = 0;
    safe_text filter;
  };

  void answer(std::string_view text);
  void thought(std::string_view text);
  void note(const json::object& event);
  void output(shown_call& call, std::string_view text);
  void output_line(shown_call& call);
  void result(const json::object& event);
  void working();
  void status(const std::string& text, bool dim);
  void style(const char* sequence);
  std::size_t room(std::size_t taken) const;

  const bool color_, thoughts_;
  const std::size_t columns_;
  safe_text filter_;
  bool at_line_start_ = true;
  bool working_shown_ = false;
  bool thinking_ = false;
  bool answer_shown_ = false;  // something of this round's
  std::map<std::string, shown_call, std::less<>> calls_;
};
}  // namespace rustic::cli
