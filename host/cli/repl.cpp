#include "host/cli/repl.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "host/cli/arguments.hpp"
#include "host/cli/attachment.hpp"
#include "host/cli/chat.hpp"
#include "host/cli/cost_report.hpp"
#include "host/cli/demo.hpp"
#include "host/cli/limits.hpp"
#include "host/cli/line_editor.hpp"
#include "host/cli/question_desk.hpp"
#include "host/cli/repl_plugins.hpp"
#include "host/cli/repl_report.hpp"
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
    {"/resume", "[N|ID]", "go on with a session, the latest one without N"},
    {"/model", "[NAME]", "show or change the model: MODEL, PROVIDER/MODEL"},
    {"/agent", "[NAME]", "show or change the agent"},
    {"/tools", "", "list the tools"},
    {"/plugins", "", "list the plugins"},
    {"/plugin", "WHAT ID", "reload a plugin, or accept a new file"},
    {"/permissions", "[MODE]", "show or change the permission mode"},
    {"/cost", "", "show what this session has used and cost"},
};
constexpr std::string_view permission_modes[] = {"default", "accept-edits", "read-only", "bypass"};

constexpr const char* setup_help =
    "No model is configured yet. Three lines set one up:\n"
    "\n"
    "  export OPENAI_API_KEY=...    # a key, or a local server:\n"
    "  export OPENAI_BASE_URL=http://127.0.0.1:8080/v1\n"
    "  export OPENAI_MODEL=...      # or: rustic-ai config init\n"
    "\n";

class conversation_loop {
 public:
  conversation_loop(program& with, turn_options turn, signal_watch& signals)
      : with_(with),
        turn_(std::move(turn)),
        signals_(signals),
        color_(with.color_wanted(STDOUT_FILENO)),
        editor_(with.configuration().view().paths.history_file, signals),
        desk_(with.runtime().services(), color_,
              [this] {
                if (report_) report_->settle();
              }),
        plugins_(with.runtime().keeper()) {
    editor_.show_news(plugins_.news().descriptor(), [this] { return plugins_.news().take(); });
    editor_.complete_with([this](const std::string& before) { return offers(before); });
  }

  exit_code run();

 private:
  completion offers(const std::string& before);
  std::vector<std::string> arguments_of(const std::string& command);
  const config::agent_settings* agent() const;
  std::string model_name() const;
  void banner();
  bool obey(const std::string& line);  // false: leave
  exit_code take_turn(const std::string& text);
  void say(const std::string& text);
  void show_help();
  void list_sessions();
  void list_tools();
  void show_cost();
  void resume(const std::string& which);
  void use_session(const std::string& id);
  void model(const std::string& name);
  void choose_agent(const std::string& name);
  void permissions(const std::string& mode);

  program& with_;
  turn_options turn_;
  signal_watch& signals_;
  const bool color_;
  line_editor editor_;
  repl_report* report_ = nullptr;  // of the turn that runs
  question_desk desk_;
  repl_plugins plugins_;
  std::string session_;                  // empty until the first words of a new one
  std::vector<std::string> listed_;      // sessions, as /sessions numbered them
  std::size_t turns_ = 0;                // of this run
  std::optional<double> spent_usd_ = 0;  // in them; nothing: not known
};

completion conversation_loop::offers(const std::string& before) {
  const auto space = before.find(' ');
  if (!before.starts_with('/')) return complete_path(before, with_.workspace());
  completion out;
  out.word_bytes = before.size();
  if (space == std::string::npos) {
    for (const auto& one : slash_commands)
      if (std::string_view(one.name).starts_with(before)) out.offers.emplace_back(one.name);
    return out;
  }
  const auto word = before.substr(before.rfind(' ') + 1);
  out.word_bytes = word.size();
  for (auto& one : arguments_of(before.substr(0, space)))
    if (one.starts_with(word)) out.offers.push_back(std::move(one));
  return out;
}

std::vector<std::string> conversation_loop::arguments_of(const std::string& command) {
  std::vector<std::string> out;
  const auto& view = with_.configuration().view();
  if (command == "/permissions")
    out.assign(std::begin(permission_modes), std::end(permission_modes));
  if (command == "/agent")
    for (const auto& one : view.agents) out.push_back(one.name);
  if (command == "/model")
    for (const auto& one : view.providers) {
      if (!one.model.empty()) out.push_back(one.name + "/" + one.model);
      for (const auto& name : one.models)
        if (name != one.model) out.push_back(one.name + "/" + name);
    }
  if (command == "/resume") out = listed_;
  if (command == "/plugin") out = plugins_.words();
  return out;
}

void conversation_loop::say(const std::string& text) {
  std::printf("%s\n", text.c_str());
  std::fflush(stdout);
}

const config::agent_settings* conversation_loop::agent() const {
  const auto& view = with_.configuration().view();
  return view.agent(turn_.agent.empty() ? view.default_agent : turn_.agent);
}

// What the next turn will use, as PROVIDER/MODEL.
std::string conversation_loop::model_name() const {
  if (with_.runtime().settings().providers.empty()) return "none yet";
  const auto& view = with_.configuration().view();
  const auto* who = agent();
  std::string provider = turn_.provider;
  std::string name = turn_.model;
  if (provider.empty() && who) {
    provider = who->provider;
    if (name.empty()) name = who->model;
  }
  if (provider.empty()) {
    provider = view.default_provider;
    if (name.empty() && turn_.provider.empty()) name = view.default_model;
  }
  if (const auto* known = view.provider(provider); known && name.empty()) name = known->model;
  return provider + "/" + (name.empty() ? "its own default" : name);
}

void conversation_loop::banner() {
  const auto width = terminal_width();
  const auto line = [&](const char* label, const std::string& text) {
    say(std::string(label) + one_visible_line(text, width > 20 ? width - 11 : 200));
  };
  say((color_ ? "\x1b[1m" : "") + version_text() + (color_ ? "\x1b[0m" : ""));
  line("model      ", model_name());
  line("directory  ", with_.workspace().string());
  say("/help lists commands, @path attaches a file,\nCtrl-C stops an answer, Ctrl-D leaves.");
}

void conversation_loop::show_help() {
  for (const auto& one : slash_commands)
    std::printf("  %-12s %-7s %s\n", one.name, one.arguments, one.help);
  say("  @path        attaches a file; Tab completes it\n"
      "  \\            at the end of a line goes on in the next one\n"
      "  Ctrl-R       searches the history, up and down walk through it");
}

void conversation_loop::list_sessions() {
  json::object query{{"workspace", with_.workspace().string()}, {"limit", sessions_listed_max}};
  const auto found = with_.runtime().call("rustic.conversation/default", "list", query);
  std::vector<std::vector<std::string>> rows;
  listed_.clear();
  for (const auto& value : array_or_empty(found, "sessions")) {
    const auto& session = value.as_object();
    listed_.emplace_back(text_or(session, "id"));
    rows.push_back({std::to_string(listed_.size()), listed_.back() == session_ ? "*" : "",
                    listed_.back(), std::to_string(int_or(session, "message_count")),
                    visible(text_or(session, "title"))});
  }
  if (rows.empty()) return say("There are no sessions of this directory yet.");
  std::fputs(to_table({"N", "", "ID", "MESSAGES", "TITLE"}, rows, terminal_width()).c_str(),
             stdout);
  say("/resume N goes on with one.");
}

void conversation_loop::list_tools() {
  std::vector<std::vector<std::string>> rows;
  with_.runtime().kernel().names().list("rustic.tool/*", [&](const kernel::listed& one) {
    try {
      const auto about = parse_object(one.attributes);
      rows.push_back(
          {one.target.substr(one.target.find('/') + 1), visible(text_or(about, "description"))});
    } catch (const failure&) {
    }
  });
  if (rows.empty()) return say("There are no tools; rustic-ai plugin list shows why.");
  const auto width = terminal_width();
  std::fputs(to_table({"NAME", "ABOUT"}, rows, width == 0 ? 100 : width).c_str(), stdout);
}

void conversation_loop::show_cost() {
  json::array used;
  if (!session_.empty()) {
    const auto found =
        with_.runtime().call("rustic.conversation/default", "get", {{"id", session_}});
    const auto& metadata = object_or_empty(object_or_empty(found, "session"), "metadata");
    used = array_or_empty(metadata, "usage_by_model");
  }
  if (used.empty()) say("Nothing has been used in this session yet.");
  const auto price = [this](std::string_view provider,
                            std::string_view model) -> std::optional<json::object> {
    const auto told = with_.runtime().call("rustic.price/default", "price",
                                           {{"provider", provider}, {"model", model}});
    const auto* known = find(told, "price");
    if (!known || !known->is_object()) return std::nullopt;
    return known->get_object();
  };
  if (!used.empty()) std::fputs(cost_report(used, price, terminal_width()).c_str(), stdout);
  if (turns_ > 0) say("Since the program began: " + dollars(spent_usd_) + ".");
}

void conversation_loop::resume(const std::string& which) {
  if (!which.empty() && which.size() <= 3 &&
      which.find_first_not_of("0123456789") == std::string::npos) {
    if (listed_.empty()) list_sessions();
    const auto number = std::stoul(which);
    if (number == 0 || number > listed_.size())
      return say("There is no session " + which + " in the list; /sessions shows it.");
    return use_session(listed_[number - 1]);
  }
  use_session(which);
}

// The latest one when `id` is empty.
void conversation_loop::use_session(const std::string& id) {
  turn_options wanted = turn_;
  wanted.session = id;
  wanted.continue_latest = id.empty();
  session_ = open_session(with_, wanted);
  const auto history = with_.runtime().call("rustic.conversation/default", "history",
                                            {{"id", session_}, {"limit", 2}});
  say("Going on with " + session_ + ".");
  for (const auto& value : array_or_empty(history, "messages"))
    for (const auto& part : array_or_empty(value.as_object(), "parts"))
      if (text_or(part.as_object(), "type") == "text")
        say("  " + std::string(text_or(value.as_object(), "role")) + ": " +
            one_visible_line(text_or(part.as_object(), "text"), 200));
}

void conversation_loop::model(const std::string& name) {
  if (!name.empty()) {
    turn_.provider.clear();
    turn_.model = name;
    if (with_.configuration().view().provider(name)) {  // a provider with its own model
      turn_.provider = name;
      turn_.model.clear();
    }
    split_model(with_, turn_);
    return say("From now on: " + visible(model_name()));
  }
  say("The model is " + visible(model_name()) + ".");
  const auto known = arguments_of("/model");
  if (known.size() > 1) {
    std::string list;
    for (const auto& one : known) list += "\n  " + visible(one);
    say("Configured are:" + list);
  }
}

void conversation_loop::choose_agent(const std::string& name) {
  const auto& view = with_.configuration().view();
  std::string known;
  for (const auto& one : view.agents) known += (known.empty() ? "" : ", ") + one.name;
  if (name.empty())
    return say("The agent is " + visible(agent() ? agent()->name : view.default_agent) +
               "; there are: " + visible(known));
  if (!view.agent(name))
    return say("There is no agent " + visible(name) + "; there are: " + visible(known));
  turn_.agent = name;
  say("From now on: " + visible(name));
}

void conversation_loop::permissions(const std::string& mode) {
  const bool is_mode = std::find(std::begin(permission_modes), std::end(permission_modes), mode) !=
                       std::end(permission_modes);
  if (is_mode) {
    turn_.permission_mode = mode;
    return say(
        "The permission mode is now " + mode +
        (mode == "bypass" ? ": nothing is asked, what is configured as denied stays so." : "."));
  }
  if (!mode.empty()) say("There is no mode " + visible(mode) + ".");
  const auto& configured = with_.runtime().settings().permissions;
  const auto context = with_.context(turn_, true);
  const auto now = text_or(context, "permission_mode", text_or(configured, "mode", "default"));
  say("The permission mode is " + std::string(now) +
      ".\nThe modes are default, accept-edits, read-only, bypass.");
  const auto& rules = array_or_empty(configured, "rules");
  if (!rules.empty()) say("Rules:");
  for (const auto& rule : rules) say("  " + one_visible_line(json::serialize(rule), 500));
}

bool conversation_loop::obey(const std::string& line) {
  const auto space = line.find_first_of(" \t\n");
  const auto name = line.substr(0, space);
  std::string argument = space == std::string::npos ? "" : line.substr(space + 1);
  argument.erase(0, std::min(argument.find_first_not_of(" \t\n"), argument.size()));
  argument.erase(argument.find_last_not_of(" \t\n") + 1);
  if (name == "/exit" || name == "/quit") return false;
  if (name == "/help") {
    show_help();
  } else if (name == "/new") {
    session_.clear();
    say("A new session begins with your next words.");
  } else if (name == "/sessions") {
    list_sessions();
  } else if (name == "/resume") {
    resume(argument);
  } else if (name == "/model") {
    model(argument);
  } else if (name == "/agent") {
    choose_agent(argument);
  } else if (name == "/tools") {
    list_tools();
  } else if (name == "/plugins") {
    std::fputs(plugins_.table(terminal_width()).c_str(), stdout);
  } else if (name == "/plugin") {
    say(plugins_.obey(argument));
  } else if (name == "/permissions") {
    permissions(argument);
  } else if (name == "/cost") {
    show_cost();
  } else {
    say("There is no command " + one_visible_line(name, 60) + "; /help lists them.");
  }
  return true;
}

exit_code conversation_loop::take_turn(const std::string& text) {
  std::vector<std::string> problems;
  auto parts = message_parts(text, with_.workspace(), problems);
  for (const auto& problem : problems) say("! " + visible(problem));
  if (session_.empty()) session_ = open_session(with_, turn_);
  const bool thoughts = bool_or(with_.configuration().view().ui, "reasoning", true);
  repl_report report(color_, thoughts, terminal_width());
  report_ = &report;
  // What is typed meanwhile does not mix with the answer; the next prompt shows it.
  const terminal_mode quiet(0, ICANON | ECHO);
  report.begin(session_, turn_);
  const auto end =
      run_turn(with_, session_, std::move(parts), turn_, &desk_, report, signals_, &quiet);
  with_.runtime().rest();
  report_ = nullptr;
  if (!array_or_empty(end.result, "usage_by_model").empty()) {
    ++turns_;
    const auto* cost = find(end.result, "cost_usd");
    if (spent_usd_ && cost && cost->is_number())
      *spent_usd_ += cost->to_number<double>();
    else
      spent_usd_.reset();
  }
  return end.code;
}

exit_code conversation_loop::run() {
  if (turn_.continue_latest || !turn_.session.empty()) {
    use_session(turn_.session);
    turn_.session.clear();
    turn_.continue_latest = false;
  }
  banner();
  bool interrupted = false;  // just now, and a second time leaves
  const auto leave = [this](exit_code code) {
    if (!session_.empty()) say("rustic-ai -r " + session_ + " goes on with this session.");
    return code;
  };
  for (;;) {
    for (const auto& text : plugins_.news().take()) say(text);
    const auto line = editor_.read("> ");
    if (line.how == line_editor::ending::end_of_input) {
      std::puts("");
      return leave(exit_code::done);
    }
    if (line.how == line_editor::ending::terminated) return exit_code::terminated;
    if (line.how == line_editor::ending::interrupted) {
      if (interrupted && !line.anything_typed) return leave(exit_code::interrupted);
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
        if (!obey(text)) return leave(exit_code::done);
      } else if (with_.runtime().settings().providers.empty()) {
        std::fputs(setup_help, stdout);
      } else {
        const auto code = take_turn(text);
        if (code == exit_code::terminated) return code;
        interrupted = code == exit_code::interrupted;
      }
    } catch (const failure& problem) {
      report_ = nullptr;
      say("! " + visible(problem.problem().message));
      if (!problem.problem().hint.empty()) say("  " + visible(problem.problem().hint));
    }
  }
}

// Nothing: go on to the prompt.
std::optional<exit_code> offer_demo(program& with, signal_watch& signals) {
  std::fputs(setup_help, stdout);
  constexpr std::string_view question =
      "Without one there is the demo, a recorded conversation.\nPlay it now? [Y/n] ";
  std::fwrite(question.data(), 1, question.size(), stdout);
  std::fflush(stdout);
  for (;;) {
    const auto key = read_key(signals, -1, question);
    if (key.signal) {
      std::puts("");
      return *key.signal == SIGINT ? exit_code::interrupted : exit_code::terminated;
    }
    const char pressed = key.value.value_or('n');
    if (pressed == 'n' || pressed == 'N' || pressed == '\x1b') {
      std::puts("No.");
      return std::nullopt;
    }
    if (pressed == 'y' || pressed == 'Y' || pressed == '\n' || pressed == '\r') break;
  }
  std::puts("Yes.");
  try {
    const terminal_mode quiet(0, ICANON | ECHO);
    (void)demo(with, signals);
  } catch (...) {
    const auto problem = current_error();
    std::printf("The demo cannot be played: %s\n", visible(problem.message).c_str());
    if (!problem.hint.empty()) std::printf("  %s\n", visible(problem.hint).c_str());
  }
  return std::nullopt;
}
}  // namespace

exit_code repl(program& with, turn_options turn, signal_watch& signals) {
  if (isatty(STDIN_FILENO) == 0 || isatty(STDOUT_FILENO) == 0)
    return chat(with, std::move(turn), signals);
  with.runtime(recorder_of(turn));
  split_model(with, turn);
  if (with.runtime().settings().providers.empty())
    if (const auto left = offer_demo(with, signals)) return *left;
  return conversation_loop(with, std::move(turn), signals).run();
}
}  // namespace rustic::cli
