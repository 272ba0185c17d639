#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>

#include "host/cli/commands.hpp"
#include "host/cli/table.hpp"
#include "host/cli/terminal.hpp"

namespace rustic::cli {
namespace {
constexpr std::string_view conversation = "rustic.conversation/default";

constexpr std::size_t narrow_columns = 90;  // then the title would have no room

std::string local_time(std::int64_t unix_ms, bool with_year) {
  const auto seconds = static_cast<std::time_t>(unix_ms / 1000);
  std::tm parts{};
  localtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof(text), with_year ? "%Y-%m-%d %H:%M" : "%m-%d %H:%M", &parts);
  return text;
}

exit_code list(program& with, const arguments& given) {
  json::object query;
  if (given.limit > 0) query["limit"] = given.limit;
  if (!given.all) query["workspace"] = with.workspace().string();
  const auto found = with.runtime().call(conversation, "list", query);
  if (given.json) {
    std::printf("%s\n", json::serialize(found).c_str());
    return exit_code::done;
  }
  const auto& sessions = array_or_empty(found, "sessions");
  if (sessions.empty()) {
    std::puts(given.all ? "There are no sessions yet."
                        : "There are no sessions of this directory; -a lists all.");
    return exit_code::done;
  }
  const auto width = terminal_width();
  const bool narrow = width > 0 && width < narrow_columns;
  std::vector<std::string> heading{"ID", "CHANGED"};
  if (!narrow) heading.emplace_back("MESSAGES");
  heading.emplace_back("TITLE");
  std::vector<std::vector<std::string>> rows;
  for (const auto& value : sessions) {
    const auto& session = value.as_object();
    auto& row = rows.emplace_back();
    row.emplace_back(text_or(session, "id"));
    row.push_back(local_time(int_or(session, "updated_at_ms"), !narrow));
    if (!narrow) row.push_back(std::to_string(int_or(session, "message_count")));
    row.emplace_back(text_or(session, "title"));
  }
  std::fputs(to_table(heading, rows, width).c_str(), stdout);
  return exit_code::done;
}

exit_code show(program& with, const arguments& given) {
  if (given.json) {
    const auto found = with.runtime().call(conversation, "get", {{"id", given.subject}});
    auto out =
        with.runtime().call(conversation, "history", {{"id", given.subject}, {"limit", 10'000}});
    out["session"] = object_or_empty(found, "session");
    std::printf("%s\n", json::serialize(out).c_str());
    return exit_code::done;
  }
  auto call =
      with.runtime().start(conversation, "export", {{"id", given.subject}, {"format", "markdown"}});
  const bool to_terminal = isatty(STDOUT_FILENO) != 0;
  safe_text filter;
  while (auto event = call->next()) {
    if (event->kind != RAI_EVENT_TEXT) continue;
    const auto text = to_terminal ? filter.pass(event->text) : event->text;
    if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size()) continue;
    call->cancel();  // main tells of it
    return exit_code::turn_failed;
  }
  (void)call->result().object();
  return exit_code::done;
}

exit_code export_session(program& with, const arguments& given) {
  int file = STDOUT_FILENO;
  if (!given.file.empty()) {
    file = open(given.file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0)
      throw failure(status_code::invalid_argument,
                    "exporting to " + given.file + ": " + strerror(errno), "name another file");
  }
  auto call = with.runtime().start(conversation, "export",
                                   {{"id", given.subject}, {"format", given.format}});
  bool good = true;
  int problem = 0;
  while (auto event = call->next()) {
    if (event->kind != RAI_EVENT_TEXT) continue;
    std::string_view text = event->text;
    while (!text.empty() && good) {
      const auto done = write(file, text.data(), text.size());
      if (done < 0 && errno == EINTR) continue;
      good = done >= 0;
      if (!good) problem = errno;
      if (good) text.remove_prefix(static_cast<std::size_t>(done));
    }
    if (!good) call->cancel();
  }
  if (file != STDOUT_FILENO && close(file) != 0 && good) {
    good = false;
    problem = errno;
  }
  // A piece of an export would be taken for a whole one, and stand in the way of the next.
  if (!good && !given.file.empty()) unlink(given.file.c_str());
  if (!good)
    throw failure(status_code::unavailable,
                  "writing the export to " + (given.file.empty() ? "standard output" : given.file) +
                      ": " + strerror(problem));
  try {
    (void)call->result().object();
  } catch (const failure&) {
    if (!given.file.empty()) unlink(given.file.c_str());
    throw;
  }
  return exit_code::done;
}

exit_code remove(program& with, const arguments& given, signal_watch& signals) {
  const auto found = with.runtime().call(conversation, "get", {{"id", given.subject}});
  const auto& session = object_or_empty(found, "session");
  const std::string id(text_or(session, "id"));
  if (!given.force) {
    if (isatty(STDIN_FILENO) == 0)
      throw failure(status_code::invalid_argument,
                    "deleting session " + id + ": nobody can be asked", "add --force");
    std::fprintf(stderr, "Delete session %s (%s)? [y/N] ", id.c_str(),
                 one_visible_line(text_or(session, "title", "no title"), 200).c_str());
    wait_readable(STDIN_FILENO, signals.descriptor());
    if (signals.take()) {
      std::fputs("\n", stderr);
      return exit_code::interrupted;
    }
    char answer = 0;
    if (read(STDIN_FILENO, &answer, 1) != 1 || (answer != 'y' && answer != 'Y')) {
      std::fputs("Nothing was deleted.\n", stderr);
      return exit_code::done;
    }
  }
  (void)with.runtime().call(conversation, "delete", {{"id", id}});
  std::printf("Deleted %s\n", id.c_str());
  return exit_code::done;
}
}  // namespace

exit_code session_command(program& with, const arguments& given, signal_watch& signals) {
  try {
    switch (given.what) {
      case command::session_list:
        return list(with, given);
      case command::session_show:
        return show(with, given);
      case command::session_export:
        return export_session(with, given);
      default:
        return remove(with, given, signals);
    }
  } catch (const failure& problem) {
    auto told = problem.problem();
    if (told.code == status_code::not_found && with.runtime().kernel().names().find(conversation))
      told.code = status_code::invalid_argument;  // the id on the command line
    throw failure(std::move(told));
  }
}
}  // namespace rustic::cli
