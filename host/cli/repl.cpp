#include "host/cli/repl.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "host/cli/attachment.hpp"
#include "host/cli/chat.hpp"
#include "host/cli/demo.hpp"
#include "host/cli/line_editor.hpp"
#include "host/cli/question_desk.hpp"
#include "host/cli/table.hpp"
#include "host/cli/terminal.hpp"
#include "host/cli/turn_runner.hpp"

namespace rustic::cli {
namespace {

struct slash_command {
  const char* name;
  const char* arguments;
  const char* help;
};
constexpr slash_command slash_commands[] = {
    {"/help", "", "show this"},
    {"/exit", "", "leave (so does Ctrl-D)"},
    {"/new", "", "begin a new session"},
    {"/sessions", "", "list the sessions of this directory"},
    {"/resume", "ID", "go on with a session"},
    {"/model", "[NAME]", "show or change the model, as MODEL or PROVIDER/MODEL"},
    {"/agent", "[NAME]", "show or change the agent"},
    {"/tools", "", "list the tools"},
    {"/permissions", "[MODE]", "show or change the permission mode"},
    {"/cost", "", "show the tokens used by this session so far"},
};

constexpr const char* setup_help =
    "No model is configured yet. Three lines set one up:\n"
    "\n"
    "  export OPENAI_API_KEY=...                  # a key, or the address of a local server:\n"
    "  export OPENAI_BASE_URL=http://127.0.0.1:8080/v1\n"
    "  export OPENAI_MODEL=...                    # or write a file: rustic-ai config init\n"
    "\n";

class conversation_loop {
 public:
  conversation_loop(program& with, turn_options turn, signal_watch& signals)
      : with_(with),
        turn_(std::move(turn)),
        signals_(signals),
        color_(color_terminal(STDOUT_FILENO, with.global().no_color ||
                                                 with.around().variable("NO_COLOR").has_value())),
        editor_(with.configuration().view().paths.history_file, signals) {
    editor_.complete_with([this](const std::string& before) { return offers(before); });
  }

  exit_code run();

 private:
  std::vector<std::string> offers(const std::string& before) const;
  void banner();
  bool obey(const std::string& line);  // false: leave
  void say(const std::string& text);
  void list_sessions();
  void list_tools();
  void show_cost();
  void use_session(const std::string& id);

  program& with_;
  turn_options turn_;
  signal_watch& signals_;
  const bool color_;
  line_editor editor_;
  std::string session_;  // empty until the first words of a new one
  json::object used_;    // tokens of this run
  exit_code last_ = exit_code::done;
};

std::vector<std::string> conversation_loop::offers(const std::string& before) const {
  if (before.starts_with('/') && before.find(' ') == std::string::npos) {
    std::vector<std::string> out;
    for (const auto& one : slash_commands)
      if (std::string_view(one.name).starts_with(before)) out.emplace_back(one.name);
    return out;
  }
  return complete_path(before.substr(before.find_last_of(" \t") + 1), with_.workspace());
}

void conversation_loop::say(const std::string& text) { std::printf("%s\n", text.c_str()); }

void conversation_loop::banner() {
  const auto& providers = with_.runtime().settings().providers;
  std::string model = turn_.model;
  if (model.empty() && !providers.empty()) {
    const auto& first = providers.begin()->value().as_object();
    model = std::string(providers.begin()->key()) + "/" +
            std::string(text_or(first, "model", "its own default"));
  }
  std::printf("%srustic-ai%s  %s  %s\n", color_ ? "\x1b[1m" : "", color_ ? "\x1b[0m" : "",
              visible(model).c_str(), with_.workspace().c_str());
  std::puts("/help shows the commands, @path attaches a file, Ctrl-C stops an answer, Ctrl-D leaves.");
}

void conversation_loop::list_sessions() {
  const auto found = with_.runtime().call("rustic.conversation/default", "list",
                                          {{"workspace", with_.workspace().string()}});
  std::vector<std::vector<std::string>> rows;
  for (const auto& value : array_or_empty(found, "sessions")) {
    const auto& session = value.as_object();
    rows.push_back({std::string(text_or(session, "id")),
                    std::to_string(int_or(session, "message_count")),
                    std::string(text_or(session, "title"))});
  }
  if (rows.empty())
    say("There are no sessions of this directory yet.");
  else
    std::fputs(to_table({"ID", "MESSAGES", "TITLE"}, rows, terminal_width()).c_str(), stdout);
}

void conversation_loop::list_tools() {
  std::vector<std::vector<std::string>> rows;
  with_.runtime().kernel().names().list("rustic.tool/*", [&](const kernel::listed& one) {
    try {
      const auto about = parse_object(one.attributes);
      rows.push_back({one.target.substr(one.target.find('/') + 1),
                      std::string(text_or(about, "description"))});
    } catch (const failure&) {
    }
  });
  const auto width = terminal_width();
  std::fputs(to_table({"NAME", "ABOUT"}, rows, width == 0 ? 100 : width).c_str(), stdout);
}

void conversation_loop::show_cost() {
  if (used_.empty()) {
    say("Nothing has been used yet.");
    return;
  }
  std::vector<std::vector<std::string>> rows;
  for (const auto& [key, value] : used_)
    rows.push_back({std::string(key), std::to_string(value.as_int64())});
  std::fputs(to_table({"TOKENS", "COUNT"}, rows, 0).c_str(), stdout);
  say("No price is known for this model.");
}

void conversation_loop::use_session(const std::string& id) {
  turn_options wanted = turn_;
  wanted.session = id;
  wanted.continue_latest = false;
  session_ = open_session(with_, wanted);
  const auto history = with_.runtime().call("rustic.conversation/default", "history",
                                            {{"id", session_}, {"limit", 2}});
  say("Going on with " + session_ + ".");
  for (const auto& value : array_or_empty(history, "messages"))
    for (const auto& part : array_or_empty(value.as_object(), "parts"))
      if (text_or(part.as_object(), "type") == "text")
        say("  " + std::string(text_or(value.as_object(), "role")) + ": " +
            visible(cut_utf8(text_or(part.as_object(), "text"), 200)));
}

bool conversation_loop::obey(const std::string& line) {
  const auto space = line.find(' ');
  const auto name = line.substr(0, space);
  std::string argument = space == std::string::npos ? "" : line.substr(space + 1);
  argument.erase(0, std::min(argument.find_first_not_of(' '), argument.size()));
  argument.erase(argument.find_last_not_of(' ') + 1);
  if (name == "/exit" || name == "/quit") return false;
  if (name == "/help") {
    for (const auto& one : slash_commands)
      std::printf("  %-12s %-7s %s\n", one.name, one.arguments, one.help);
  } else if (name == "/new") {
    session_.clear();
    say("A new session begins with your next words.");
  } else if (name == "/sessions") {
    list_sessions();
  } else if (name == "/resume") {
    if (argument.empty())
      say("/resume ID; /sessions lists them.");
    else
      use_session(argument);
  } else if (name == "/model") {
    if (argument.empty()) {
      say(turn_.model.empty() ? "The agent's own model is used."
                              : "The model is " + (turn_.provider.empty() ? "" : turn_.provider + "/") +
                                    turn_.model + ".");
    } else {
      turn_.model = argument;
      turn_.provider.clear();
      split_model(with_, turn_);
      say("From now on: " + argument);
    }
  } else if (name == "/agent") {
    const auto found = with_.runtime().call("rustic.agent/default", "list", {});
    std::string known;
    bool is_known = false;
    for (const auto& value : array_or_empty(found, "agents")) {
      const auto one = text_or(value.as_object(), "name");
      is_known |= one == argument;
      known += (known.empty() ? "" : ", ") + std::string(one);
    }
    if (is_known) turn_.agent = argument;
    say(is_known ? "From now on: " + argument : "The agents are: " + known);
  } else if (name == "/tools") {
    list_tools();
  } else if (name == "/permissions") {
    static constexpr std::string_view modes[] = {"default", "accept-edits", "read-only", "bypass"};
    if (std::find(std::begin(modes), std::end(modes), argument) != std::end(modes)) {
      turn_.permission_mode = argument;
      say("The permission mode is now " + argument + ".");
    } else {
      say("The permission mode is " +
          (turn_.permission_mode.empty() ? std::string("as configured") : turn_.permission_mode) +
          "; the modes are default, accept-edits, read-only, bypass.");
    }
  } else if (name == "/cost") {
    show_cost();
  } else {
    say("There is no command " + visible(name) + "; /help lists them.");
  }
  return true;
}

exit_code conversation_loop::run() {
  question_desk desk(with_.runtime().services(), color_);
  if (turn_.continue_latest || !turn_.session.empty()) {
    if (turn_.session.empty()) {
      session_ = open_session(with_, turn_);
      say("Going on with " + session_ + ".");
    } else {
      use_session(turn_.session);
    }
    turn_.session.clear();
    turn_.continue_latest = false;
  }
  banner();
  bool interrupted = false;
  for (;;) {
    const auto line = editor_.read("> ");
    if (line.how == line_editor::ending::end_of_input) {
      std::puts("");
      return exit_code::done;
    }
    if (line.how == line_editor::ending::terminated) return exit_code::terminated;
    if (line.how == line_editor::ending::interrupted) {
      if (interrupted) return exit_code::interrupted;
      say("(Ctrl-C again, Ctrl-D or /exit leaves)");
      interrupted = true;
      continue;
    }
    interrupted = false;
    const auto begin = line.text.find_first_not_of(" \t\n");
    if (begin == std::string::npos) continue;
    const auto text = line.text.substr(begin);
    try {
      if (text.front() == '/') {
        if (!obey(text)) return exit_code::done;
        continue;
      }
      if (with_.runtime().settings().providers.empty()) {
        std::fputs(setup_help, stdout);
        continue;
      }
      std::vector<std::string> problems;
      auto parts = message_parts(text, with_.workspace(), problems);
      for (const auto& problem : problems) say("! " + problem);
      if (session_.empty()) session_ = open_session(with_, turn_);
      const auto report = turn_report::make(output_form::text, turn_.quiet, color_);
      report->begin(session_, turn_);
      const auto end = run_turn(with_, session_, std::move(parts), turn_, &desk, *report, signals_);
      for (const auto& [key, value] : object_or_empty(end.result, "usage"))
        used_[key] = int_or(used_, key) + (value.is_int64() ? value.get_int64() : 0);
      if (end.code == exit_code::terminated) return end.code;
    } catch (const failure& problem) {
      print_error(problem.problem());
    }
  }
}
}  // namespace

exit_code repl(program& with, turn_options turn, signal_watch& signals) {
  if (isatty(STDIN_FILENO) == 0 || isatty(STDOUT_FILENO) == 0)
    return chat(with, std::move(turn), signals);
  json::object recorder;
  if (!turn.record_file.empty()) recorder = {{"mode", "record"}, {"file", turn.record_file}};
  if (!turn.replay_file.empty())
    recorder = {{"mode", "replay"}, {"file", turn.replay_file}, {"tools", turn.replay_tools}};
  with.runtime(recorder);
  split_model(with, turn);
  if (with.runtime().settings().providers.empty()) {
    std::fputs(setup_help, stdout);
    std::fputs("Without one there is the demo, a recorded conversation. Play it now? [Y/n] ", stdout);
    std::fflush(stdout);
    const auto key = read_key(signals);
    std::puts("");
    if (key.signal) return *key.signal == SIGINT ? exit_code::interrupted : exit_code::terminated;
    if (key.value && *key.value != 'n' && *key.value != 'N') (void)demo(with, signals);
  }
  return conversation_loop(with, std::move(turn), signals).run();
}
}  // namespace rustic::cli
