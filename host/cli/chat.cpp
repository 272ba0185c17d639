#include "host/cli/chat.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <rustic/schema.hpp>

#include "host/cli/limits.hpp"
#include "host/cli/turn_report.hpp"
#include "host/cli/turn_runner.hpp"

namespace rustic::cli {
namespace {

// Standard input when it is a file or a pipe; nothing for a terminal, a device or a closed one.
std::string piped_input(program& with, signal_watch& signals, bool notice_wanted) {
  struct stat status {};
  if (fstat(STDIN_FILENO, &status) != 0) return {};
  if (!S_ISREG(status.st_mode) && !S_ISFIFO(status.st_mode) && !S_ISSOCK(status.st_mode)) return {};
  std::string text;
  bool told = false;
  char buffer[65536];
  for (;;) {
    const int ready = wait_readable(STDIN_FILENO, signals.descriptor(),
                                    told || !notice_wanted ? -1 : standard_input_notice_ms);
    if (ready == 0 && !told && notice_wanted) {
      with.notice("reading standard input; end it with Ctrl-D, or give it </dev/null");
      told = true;
      continue;
    }
    if ((ready & 2) != 0)
      if (const auto signal = signals.take())
        throw failure(status_code::cancelled, *signal == SIGINT ? "interrupted" : "terminated");
    if ((ready & 1) == 0) continue;
    const auto got = read(STDIN_FILENO, buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0)
      throw failure(status_code::unavailable,
                    std::string("reading standard input: ") + strerror(errno));
    if (got == 0) return text;
    text.append(buffer, static_cast<std::size_t>(got));
    if (text.size() > standard_input_bytes_max)
      throw failure(status_code::out_of_range,
                    "reading standard input: it is longer than " +
                        std::to_string(standard_input_bytes_max >> 20) + " MiB",
                    "give the name of a file in the prompt instead, and let the agent read it");
  }
}

// A word of the command line that names nothing is told before a session is made for it.
void require_names(program& with, const turn_options& turn) {
  const auto& providers = with.runtime().settings().providers;
  const auto& agents = with.runtime().settings().agents;
  std::string known;
  std::vector<std::string_view> names;
  const auto refuse = [&](const std::string& what, const std::string& name) {
    const auto nearest = nearest_word(name, names);
    throw failure(status_code::failed_precondition,
                  "there is no " + what + " \"" + name + "\"" +
                      (nearest.empty() ? "" : "; is \"" + std::string(nearest) + "\" meant?"),
                  "configured are: " + known);
  };
  const auto add = [&](std::string_view name) {
    names.push_back(name);
    known += (known.empty() ? "" : ", ") + std::string(name);
  };
  if (providers.empty() && turn.replay_file.empty())
    throw failure(
        status_code::failed_precondition,
        "no model is configured yet. Three lines set one up:\n"
        "  export OPENAI_API_KEY=...    # a key, or the address of a local server:\n"
        "  export OPENAI_BASE_URL=http://127.0.0.1:8080/v1\n"
        "  export OPENAI_MODEL=...",
        "or write a file: rustic-ai config init; without any model there is: rustic-ai demo");
  if (!turn.provider.empty() && !providers.contains(turn.provider)) {
    for (const auto& one : providers) add(one.key());
    refuse("provider", turn.provider);
  }
  if (turn.agent.empty()) return;
  for (const auto& one : agents) add(text_or(one.as_object(), "name"));
  if (std::find(names.begin(), names.end(), turn.agent) == names.end()) refuse("agent", turn.agent);
}

std::string session_for(program& with, const turn_options& turn) {
  try {
    return open_session(with, turn);
  } catch (const failure& problem) {
    auto told = problem.problem();
    // Only the words after --session and --continue can name a session that is not there.
    if (told.code == status_code::not_found &&
        with.runtime().kernel().names().find("rustic.conversation/default"))
      told.code = status_code::invalid_argument;
    throw failure(std::move(told));
  }
}
}  // namespace

output_form output_form_of(program& with, const turn_options& turn) {
  if (turn.output) return *turn.output;
  try {
    return output_form_from(with.configuration().view().default_output);
  } catch (const failure&) {  // told when the runtime is made
    return output_form::text;
  }
}

json::object recorder_of(const turn_options& turn) {
  const auto refuse = [](const char* what, const std::string& file, const char* hint) {
    throw failure(status_code::invalid_argument,
                  std::string(what) + " " + file + ": " + strerror(errno), hint);
  };
  if (!turn.replay_file.empty()) {
    if (access(turn.replay_file.c_str(), R_OK) != 0)
      refuse("replaying", turn.replay_file, "name a file that --record has written");
    return {{"mode", "replay"}, {"file", turn.replay_file}, {"tools", turn.replay_tools}};
  }
  if (turn.record_file.empty()) return {};
  if (access(turn.record_file.c_str(), F_OK) == 0) {
    errno = EEXIST;
    refuse("recording to", turn.record_file, "name a file that is not there yet");
  }
  const auto directory = std::filesystem::absolute(turn.record_file).parent_path();
  if (access(directory.c_str(), W_OK | X_OK) != 0)
    refuse("recording to", turn.record_file, "name a file in a directory that can be written");
  return {{"mode", "record"}, {"file", turn.record_file}};
}

void report_failure(output_form form, bool quiet, const error& problem) {
  const auto report = turn_report::make(form, quiet, false);
  report->end(result_object({}, &problem, 0));
}

exit_code chat(program& with, turn_options turn, signal_watch& signals) {
  const auto form = output_form_of(with, turn);
  with.set_quiet(turn.quiet || form != output_form::text);
  try {
    const auto piped = piped_input(with, signals, form == output_form::text);
    std::string prompt = turn.prompt;
    if (!piped.empty()) prompt += (prompt.empty() ? "" : "\n\n") + to_utf8(piped);
    if (prompt.find_first_not_of(" \t\r\n") == std::string::npos)
      throw failure(status_code::invalid_argument, "there is no prompt",
                    "rustic-ai chat \"what to do\", or pipe it in");
    with.runtime(recorder_of(turn));
    split_model(with, turn);
    require_names(with, turn);
    const auto session = session_for(with, turn);
    const auto report = turn_report::make(form, turn.quiet, with.color_wanted(STDERR_FILENO));
    report->begin(session, turn);
    json::array input;
    input.push_back(json::object{{"type", "text"}, {"text", to_utf8(prompt)}});
    const auto code =
        run_turn(with, session, std::move(input), turn, nullptr, *report, signals).code;
    if (report->writable()) return code;
    // An answer that nobody could read is no success. Text has told why the turn ended.
    if (code != exit_code::done && form == output_form::text) return code;
    error problem;
    problem.message = report->write_problem();
    problem.hint = "the session keeps the answer: rustic-ai session show " + session;
    print_error(problem);
    return code == exit_code::done ? exit_code::turn_failed : code;
  } catch (const failure& thrown) {
    auto problem = thrown.problem();
    auto code = exit_code_of(problem);
    if (problem.code == status_code::invalid_argument) code = exit_code::usage;
    if (problem.message == "terminated") code = exit_code::terminated;
    add_usual_hint(problem, code);
    report_failure(form, turn.quiet, problem);
    return code;
  }
}
}  // namespace rustic::cli
