#include "host/cli/line_editor.hpp"

#include <histedit.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>

namespace rustic::cli {
namespace {
constexpr int history_lines_max = 1000;
}

struct line_editor::state {
  signal_watch& signals;
  std::filesystem::path history_file;
  EditLine* editor = nullptr;
  History* history = nullptr;
  std::string prompt;
  std::optional<int> signal;
  bool ended = false;
  std::function<std::vector<std::string>(const std::string&)> complete;

  static state& of(EditLine* editor) {
    void* self = nullptr;
    el_get(editor, EL_CLIENTDATA, &self);
    return *static_cast<state*>(self);
  }
  static char* show_prompt(EditLine* editor) { return of(editor).prompt.data(); }

  // Reads one byte, or ends the line when a signal comes.
  static int read_byte(EditLine* editor, wchar_t* out) {
    auto& me = of(editor);
    mbstate_t partial{};
    for (;;) {
      const int ready = wait_readable(STDIN_FILENO, me.signals.descriptor());
      if ((ready & 2) != 0) {
        if ((me.signal = me.signals.take())) return 0;
      }
      if ((ready & 1) == 0) continue;
      char byte = 0;
      if (::read(STDIN_FILENO, &byte, 1) != 1) {
        me.ended = true;
        return 0;
      }
      const auto used = mbrtowc(out, &byte, 1, &partial);
      if (used == static_cast<std::size_t>(-2)) continue;
      if (used == static_cast<std::size_t>(-1)) {
        *out = L'?';
        return 1;
      }
      return 1;
    }
  }

  static unsigned char tab(EditLine* editor, int) {
    auto& me = of(editor);
    if (!me.complete) return CC_NORM;
    const auto* line = el_line(editor);
    const std::string before(line->buffer, static_cast<std::size_t>(line->cursor - line->buffer));
    const auto offers = me.complete(before);
    if (offers.empty()) return CC_ERROR;
    std::string common = offers.front();
    for (const auto& offer : offers) {
      std::size_t same = 0;
      while (same < common.size() && same < offer.size() && common[same] == offer[same]) ++same;
      common.resize(same);
    }
    // Each offer is what the word before the cursor becomes.
    const auto word = before.substr(before.find_last_of(" \t") + 1);
    if (common.size() > word.size()) {
      if (el_insertstr(editor, common.c_str() + word.size()) != 0) return CC_ERROR;
      return CC_REFRESH;
    }
    if (offers.size() > 1) {
      std::fputs("\n", stdout);
      for (const auto& offer : offers) std::printf("%s  ", offer.c_str());
      std::fputs("\n", stdout);
      return CC_REDISPLAY;
    }
    return CC_NORM;
  }
};

line_editor::line_editor(std::filesystem::path history_file, signal_watch& signals)
    : state_(std::make_unique<state>(state{signals, std::move(history_file), nullptr, nullptr, {}, {}, false, {}})) {
  auto& me = *state_;
  me.editor = el_init("rustic-ai", stdin, stdout, stderr);
  me.history = history_init();
  HistEvent event;
  ::history(me.history, &event, H_SETSIZE, history_lines_max);
  ::history(me.history, &event, H_SETUNIQUE, 1);
  el_set(me.editor, EL_CLIENTDATA, &me);
  el_set(me.editor, EL_PROMPT, &state::show_prompt);
  el_set(me.editor, EL_EDITOR, "emacs");
  el_set(me.editor, EL_SIGNAL, 0);
  el_set(me.editor, EL_HIST, ::history, me.history);
  el_set(me.editor, EL_GETCFN, &state::read_byte);
  el_set(me.editor, EL_ADDFN, "rustic-complete", "Complete", &state::tab);
  el_set(me.editor, EL_BIND, "\t", "rustic-complete", nullptr);
  el_set(me.editor, EL_BIND, "^R", "em-inc-search-prev", nullptr);
  std::error_code ignored;
  std::filesystem::create_directories(me.history_file.parent_path(), ignored);
  ::history(me.history, &event, H_LOAD, me.history_file.c_str());
}

line_editor::~line_editor() {
  if (state_->editor) el_end(state_->editor);
  if (state_->history) history_end(state_->history);
}

void line_editor::complete_with(std::function<std::vector<std::string>(const std::string&)> function) {
  state_->complete = std::move(function);
}

line_editor::result line_editor::read_one(const std::string& prompt) {
  auto& me = *state_;
  me.prompt = prompt;
  me.signal.reset();
  me.ended = false;
  int count = 0;
  const char* line = el_gets(me.editor, &count);
  result out;
  if (me.signal) {
    out.how = *me.signal == SIGINT ? ending::interrupted : ending::terminated;
    std::fputs("\n", stdout);
    el_set(me.editor, EL_UNBUFFERED, 0);
    el_reset(me.editor);
    return out;
  }
  if (!line || count <= 0 || me.ended) {
    out.how = ending::end_of_input;
    return out;
  }
  out.text.assign(line, static_cast<std::size_t>(count));
  while (!out.text.empty() && (out.text.back() == '\n' || out.text.back() == '\r')) out.text.pop_back();
  return out;
}

line_editor::result line_editor::read(const std::string& prompt) {
  auto& me = *state_;
  auto out = read_one(prompt);
  while (out.how == ending::line && out.text.ends_with('\\')) {
    out.text.back() = '\n';
    const auto more = read_one("... ");
    if (more.how != ending::line) return more;
    out.text += more.text;
  }
  if (out.how == ending::line && out.text.find_first_not_of(" \t\n") != std::string::npos) {
    HistEvent event;
    ::history(me.history, &event, H_ENTER, out.text.c_str());
    const auto before = umask(077);
    ::history(me.history, &event, H_SAVE, me.history_file.c_str());
    umask(before);
  }
  return out;
}
}  // namespace rustic::cli
