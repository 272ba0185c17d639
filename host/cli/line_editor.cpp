#include "host/cli/line_editor.hpp"

#include <fcntl.h>
#include <histedit.h>
#include <locale.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <cwchar>
#include <rustic/json.hpp>
#include <rustic/status.hpp>

#include "host/cli/limits.hpp"
#include "host/cli/table.hpp"
#include "host/cli/terminal.hpp"

namespace rustic::cli {
namespace {
constexpr int history_lines_max = 1000;
constexpr std::size_t history_entry_bytes_max = 16u * 1024;  // longer ones are not kept
constexpr std::size_t paste_bytes_max = 1u << 20;            // the rest of a paste is dropped
constexpr std::size_t line_bytes_max = 8u << 20;             // of one prompt with its continuations
constexpr std::string_view paste_end = "\x1b[201~";
constexpr const char* paste_marks_on = "\x1b[?2004h";
constexpr const char* paste_marks_off = "\x1b[?2004l";

// A pasted text as one that can be edited: line ends of one kind and none at the end, no controls.
std::string tidy_paste(std::string_view raw) {
  std::string lines;
  lines.reserve(raw.size());
  for (std::size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] != '\r')
      lines += raw[i];
    else if (i + 1 == raw.size() || raw[i + 1] != '\n')
      lines += '\n';
  }
  auto out = visible(to_utf8(lines));
  while (out.ends_with('\n')) out.pop_back();
  return out;
}

std::size_t code_points(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

std::string in_columns(const std::vector<std::string>& offers, std::size_t width) {
  std::size_t widest = 1;
  for (const auto& offer : offers) widest = std::max(widest, columns_of(offer) + 2);
  const auto columns = std::max<std::size_t>(1, std::max<std::size_t>(width, 1) / widest);
  std::string out;
  std::size_t shown = 0;
  for (const auto& offer : offers) {
    if (shown == completions_shown_max) break;
    out += visible(offer);
    if (++shown % columns == 0)
      out += '\n';
    else
      out.append(widest - columns_of(offer), ' ');
  }
  if (!out.ends_with('\n')) out += '\n';
  if (shown < offers.size()) out += "... and " + std::to_string(offers.size() - shown) + " more\n";
  return out;
}
}  // namespace

struct line_editor::state {
  signal_watch& signals;
  std::filesystem::path history_file;
  EditLine* editor = nullptr;
  History* history = nullptr;
  bool marks_pastes = false;
  std::string prompt;
  std::optional<int> signal;
  bool ended = false;
  bool anything_typed = false;
  std::string last_remembered;
  std::function<completion(const std::string&)> complete;
  int news = -1;
  std::function<std::vector<std::string>()> take_news;
  bool news_wait = false;  // somebody is typing: not before the next prompt
  bool continued = false;  // the line goes on from the one before

  static state& of(EditLine* editor) {
    void* self = nullptr;
    el_get(editor, EL_CLIENTDATA, &self);
    return *static_cast<state*>(self);
  }
  static char* show_prompt(EditLine* editor) { return of(editor).prompt.data(); }

  // The terminal has another size, or the program was stopped and goes on.
  void refresh_after(terminal_change change) {
    if (change == terminal_change::continued) {
      el_set(editor, EL_PREP_TERM, 0);
      el_set(editor, EL_PREP_TERM, 1);
      if (marks_pastes) std::fputs(paste_marks_on, stdout);
    }
    el_resize(editor);
    std::fputs(marks_pastes ? "\r\x1b[J" : "\r", stdout);
    std::fflush(stdout);
    el_set(editor, EL_REFRESH);
  }

  void show_news() {
    const auto* line = el_line(editor);
    news_wait = !marks_pastes || line->lastchar != line->buffer;
    if (news_wait) return;
    std::fputs("\r\x1b[J", stdout);
    for (const auto& text : take_news()) std::printf("%s\n", text.c_str());
    std::fflush(stdout);
    el_set(editor, EL_REFRESH);
  }

  // One byte; false when a signal or the end of the input came instead.
  bool next_byte(char& out) {
    for (;;) {
      const int ready = wait_readable(STDIN_FILENO, signals.descriptor(), -1,
                                      signals.terminal_descriptor(), news_wait ? -1 : news);
      if ((ready & 2) != 0 && (signal = signals.take())) return false;
      if ((ready & 4) != 0)
        if (const auto change = signals.take_terminal_change()) refresh_after(*change);
      if ((ready & 1) == 0) {
        if ((ready & 8) != 0) show_news();
        continue;
      }
      if (::read(STDIN_FILENO, &out, 1) == 1) return true;
      ended = true;
      return false;
    }
  }

  static int read_character(EditLine* editor, wchar_t* out) {
    auto& me = of(editor);
    if (me.signal) return 0;  // one came in the middle of a paste
    mbstate_t partial{};
    for (;;) {
      char byte = 0;
      if (!me.next_byte(byte)) {
        const auto* line = el_line(editor);
        me.anything_typed = line->lastchar != line->buffer;
        return 0;
      }
      auto used = mbrtowc(out, &byte, 1, &partial);
      if (used == static_cast<std::size_t>(-2)) continue;
      if (used == static_cast<std::size_t>(-1)) {
        // The byte does not go on with what began before it, but may be good by itself.
        partial = {};
        used = mbrtowc(out, &byte, 1, &partial);
        if (used == static_cast<std::size_t>(-2)) continue;
        if (used == static_cast<std::size_t>(-1)) {
          partial = {};
          continue;
        }
      }
      return 1;
    }
  }

  // The terminal announced pasted text.
  static unsigned char paste(EditLine* editor, int) {
    auto& me = of(editor);
    std::string got;
    bool dropped = false;
    std::string tail;
    char byte = 0;
    while (tail != paste_end) {
      if (!me.next_byte(byte)) return CC_ERROR;
      tail += byte;
      if (tail.size() > paste_end.size()) {
        if (got.size() < paste_bytes_max)
          got += tail.front();
        else
          dropped = true;
        tail.erase(0, 1);
      }
    }
    if (dropped) std::fputs("\a", stdout);
    const auto text = tidy_paste(got);
    if (text.empty()) return CC_NORM;
    return el_insertstr(editor, text.c_str()) == 0 ? CC_REFRESH : CC_ERROR;
  }

  static unsigned char tab(EditLine* editor, int) {
    auto& me = of(editor);
    if (!me.complete) return CC_NORM;
    const auto* line = el_line(editor);
    const std::string before(line->buffer, static_cast<std::size_t>(line->cursor - line->buffer));
    const auto [word_bytes, offers] = me.complete(before);
    if (offers.empty()) return CC_ERROR;
    std::string common = offers.front();
    for (const auto& offer : offers) {
      std::size_t same = 0;
      while (same < common.size() && same < offer.size() && common[same] == offer[same]) ++same;
      common.resize(same);
    }
    // Not in the middle of a character.
    common = std::string(cut_utf8(common, common.size()));
    if (offers.size() == 1 && !common.ends_with('/')) common += ' ';
    const auto word = before.substr(before.size() - std::min(word_bytes, before.size()));
    if (common.size() > word.size()) {
      if (common.starts_with(word)) {
        if (el_insertstr(editor, common.c_str() + word.size()) != 0) return CC_ERROR;
      } else {
        el_deletestr(editor, static_cast<int>(code_points(word)));
        if (el_insertstr(editor, common.c_str()) != 0) return CC_ERROR;
      }
      return CC_REFRESH;
    }
    if (offers.size() == 1) return CC_NORM;
    std::printf("\n%s", in_columns(offers, terminal_width()).c_str());
    std::fflush(stdout);
    return CC_REDISPLAY;
  }
};

line_editor::line_editor(std::filesystem::path history_file, signal_watch& signals)
    : state_(std::make_unique<state>(state{.signals = signals,
                                           .history_file = std::move(history_file),
                                           .prompt = {},
                                           .signal = {},
                                           .last_remembered = {},
                                           .complete = {},
                                           .take_news = {}})) {
  auto& me = *state_;
  // Everything else of the program is UTF-8; a bare "C" locale must not eat what is typed.
  if (!setlocale(LC_CTYPE, "C.UTF-8")) setlocale(LC_CTYPE, "");
  me.editor = el_init("rustic-ai", stdin, stdout, stderr);
  me.history = history_init();
  if (!me.editor || !me.history)
    throw failure(status_code::unavailable, "preparing the terminal for editing failed",
                  "one turn without editing: rustic-ai chat \"...\"");
  HistEvent event;
  ::history(me.history, &event, H_SETSIZE, history_lines_max);
  ::history(me.history, &event, H_SETUNIQUE, 1);
  el_set(me.editor, EL_CLIENTDATA, &me);
  el_set(me.editor, EL_PROMPT, &state::show_prompt);
  el_set(me.editor, EL_EDITOR, "emacs");
  el_set(me.editor, EL_SIGNAL, 0);
  // Without these it rewrites the rest of a line. With them it moves halves of wide characters.
  for (const char* name : {"ic", "IC", "im", "ei", "ip", "dc", "DC", "dm", "ed"})
    el_set(me.editor, EL_SETTC, name, "", nullptr);
  // A pasted "\r\n" has to arrive as that.
  el_set(me.editor, EL_SETTY, "-d", "-icrnl", "-inlcr", nullptr);
  el_set(me.editor, EL_HIST, ::history, me.history);
  el_set(me.editor, EL_GETCFN, &state::read_character);
  el_set(me.editor, EL_ADDFN, "rustic-complete", "Complete", &state::tab);
  el_set(me.editor, EL_BIND, "\t", "rustic-complete", nullptr);
  el_set(me.editor, EL_ADDFN, "rustic-paste", "Insert pasted text", &state::paste);
  el_set(me.editor, EL_BIND, "\\e[200~", "rustic-paste", nullptr);
  el_set(me.editor, EL_BIND, "^R", "em-inc-search-prev", nullptr);
  el_set(me.editor, EL_BIND, "\\e[1;5C", "em-next-word", nullptr);
  el_set(me.editor, EL_BIND, "\\e[1;5D", "ed-prev-word", nullptr);
  el_set(me.editor, EL_BIND, "\\e[3~", "ed-delete-next-char", nullptr);
  std::error_code ignored;
  std::filesystem::create_directories(me.history_file.parent_path(), ignored);
  ::history(me.history, &event, H_LOAD, me.history_file.c_str());
  // Each line is appended, so the file grows beyond what is loaded; then it is written anew.
  if (std::filesystem::file_size(me.history_file, ignored) > history_file_bytes_max && !ignored)
    ::history(me.history, &event, H_SAVE, me.history_file.c_str());
  const char* terminal = nullptr;
  el_get(me.editor, EL_TERMINAL, &terminal);
  me.marks_pastes = terminal != nullptr && std::strcmp(terminal, "dumb") != 0;
  if (me.marks_pastes) {
    std::fputs(paste_marks_on, stdout);
    std::fflush(stdout);
  }
}

line_editor::~line_editor() {
  auto& me = *state_;
  if (me.marks_pastes) {
    std::fputs(paste_marks_off, stdout);
    std::fflush(stdout);
  }
  if (me.editor) el_end(me.editor);
  if (me.history) history_end(me.history);
}

void line_editor::show_news(int descriptor, std::function<std::vector<std::string>()> take) {
  state_->news = descriptor;
  state_->take_news = std::move(take);
}

void line_editor::complete_with(std::function<completion(const std::string&)> function) {
  state_->complete = std::move(function);
}

line_editor::result line_editor::read_one(const std::string& prompt) {
  auto& me = *state_;
  me.prompt = prompt;
  me.signal.reset();
  me.ended = false;
  me.anything_typed = false;
  me.news_wait = me.continued;
  (void)me.signals.take_terminal_change();
  el_resize(me.editor);
  // Before the prompt is shown: libedit alone would do it after, and a Ctrl-D between got lost.
  el_set(me.editor, EL_PREP_TERM, 1);
  int count = 0;
  const char* line = el_gets(me.editor, &count);
  result out;
  if (me.signal) {
    out.how = *me.signal == SIGINT ? ending::interrupted : ending::terminated;
    out.anything_typed = me.anything_typed;
    std::fputs("\n", stdout);
    std::fflush(stdout);
    el_reset(me.editor);
    return out;
  }
  if (!line || count <= 0 || me.ended) {
    out.how = ending::end_of_input;
    return out;
  }
  out.text.assign(line, static_cast<std::size_t>(count));
  while (!out.text.empty() && (out.text.back() == '\n' || out.text.back() == '\r'))
    out.text.pop_back();
  return out;
}

void line_editor::remember(const std::string& text) {
  auto& me = *state_;
  if (text.size() > history_entry_bytes_max || text == me.last_remembered) return;
  me.last_remembered = text;
  HistEvent event;
  ::history(me.history, &event, H_ENTER, text.c_str());
  // Appended, so that two programs at once keep the lines of both.
  const int file = open(me.history_file.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return;
  (void)fchmod(file, 0600);
  FILE* stream = fdopen(file, "a");
  if (!stream) {
    close(file);
    return;
  }
  std::fseek(stream, 0, SEEK_END);
  ::history(me.history, &event, H_NSAVE_FP, static_cast<std::size_t>(1), stream);
  std::fclose(stream);
}

line_editor::result line_editor::read(const std::string& prompt) {
  auto out = read_one(prompt);
  while (out.how == ending::line && out.text.ends_with('\\') && out.text.size() < line_bytes_max) {
    out.text.back() = '\n';
    state_->continued = true;
    auto more = read_one("... ");
    state_->continued = false;
    if (more.how != ending::line) {
      more.anything_typed = true;
      return more;
    }
    out.text += more.text;
  }
  if (out.how == ending::line && out.text.find_first_not_of(" \t\n") != std::string::npos)
    remember(out.text);
  return out;
}
}  // namespace rustic::cli
