#include "host/cli/repl_report.hpp"

#include <algorithm>
#include <utility>

#include "host/cli/limits.hpp"

namespace rustic::cli {
namespace {
constexpr std::size_t columns_when_unknown = 80;
constexpr std::string_view working_text = "working, Ctrl-C stops";
constexpr std::size_t shown_calls_max = 256;  // at one time; further ones show no output

// The arguments as a person reads them: a lone text as it is, else name=value.
std::string summary(const json::value* arguments) {
  if (!arguments) return {};
  const auto* object = arguments->if_object();
  if (!object) return json::serialize(*arguments);
  if (object->size() == 1 && object->begin()->value().is_string())
    return std::string(object->begin()->value().get_string());
  std::string out;
  for (const auto& [key, value] : *object) {
    out += (out.empty() ? "" : " ") + std::string(key) + "=";
    if (const auto* text = value.if_string())
      out += one_visible_line(*text, 60);
    else
      out += json::serialize(value);
    if (out.size() > shown_argument_columns_max) break;
  }
  return out;
}

std::string seconds(std::int64_t ms) {
  return std::to_string(ms / 1000) + "." + std::to_string(ms / 100 % 10) + " s";
}
}  // namespace

repl_report::repl_report(bool color, bool thoughts, std::size_t columns)
    : color_(color), thoughts_(thoughts), columns_(columns == 0 ? columns_when_unknown : columns) {}

std::size_t repl_report::room(std::size_t taken) const {
  return columns_ > taken + 10 ? columns_ - taken - 1 : 10;
}

void repl_report::style(const char* sequence) {
  if (color_) write(sequence);
}

void repl_report::begin(const std::string&, const turn_options&) {
  working();
}

// Costs nothing: it stands until the next event and does not move.
void repl_report::working() {
  if (!color_ || working_shown_ || !at_line_start_) return;
  // In one row: a second one would stay when it is taken away again.
  write("\x1b[2m" + std::string(cut_columns(working_text, columns_ - 1)) + "\x1b[0m");
  working_shown_ = true;
}

void repl_report::settle() {
  if (working_shown_) {
    write("\r\x1b[K");
    working_shown_ = false;
  }
  if (thinking_) {
    style("\x1b[0m");
    thinking_ = false;
  }
  if (at_line_start_) return;
  write("\n");
  at_line_start_ = true;
}

void repl_report::status(const std::string& text, bool dim) {
  settle();
  if (dim) style("\x1b[2m");
  write(text);
  if (dim) style("\x1b[0m");
  write("\n");
}

void repl_report::answer(std::string_view text) {
  const auto safe = filter_.pass(text);
  if (safe.empty()) return;
  if (working_shown_ || thinking_) settle();
  answer_shown_ = answer_shown_ || safe.find_first_not_of(" \t\r\n") != std::string::npos;
  write(safe);
  at_line_start_ = safe.ends_with('\n');
}

// What the model says to itself is told apart by its looks; where that cannot be, it is left out.
void repl_report::thought(std::string_view text) {
  if (!color_ || !thoughts_) return;
  const auto safe = visible(text);
  if (safe.empty()) return;
  if (!thinking_) {
    settle();
    style("\x1b[2;3m");
    thinking_ = true;
  }
  write(safe);
  at_line_start_ = safe.ends_with('\n');
}

void repl_report::event(const runtime::call_event& event) {
  switch (event.kind) {
    case RAI_EVENT_TEXT:
      return answer(event.text);
    case RAI_EVENT_REASONING:
      return thought(event.text);
    case RAI_EVENT_RESTART:
      if (!std::exchange(answer_shown_, false)) return;
      return status("! the answer begins again", false);
    case RAI_EVENT_JSON:
      try {
        note(parse_object(event.text));
      } catch (const failure&) {  // a plugin's event that is no JSON: nothing to show
      }
      return;
    default:
      return;
  }
}

void repl_report::note(const json::object& event) {
  const auto type = text_or(event, "type");
  if (type == "round") {
    answer_shown_ = false;
    working();
  } else if (type == "tool_call") {
    const auto name = one_visible_line(text_or(event, "name"), 64);
    status("* " + name + "  " +
               one_visible_line(summary(find(event, "arguments")), room(name.size() + 4)),
           false);
    if (calls_.size() < shown_calls_max)
      calls_.insert_or_assign(std::string(text_or(event, "id")), shown_call{name, {}, 0, {}});
  } else if (type == "tool_output") {
    const auto found = calls_.find(text_or(event, "id"));
    if (found != calls_.end()) output(found->second, text_or(event, "text"));
  } else if (type == "tool_result") {
    result(event);
    if (calls_.empty()) working();
  } else if (type == "warning" || type == "notice") {
    status("! " + one_visible_line(text_or(event, "message"), 500), type == "notice");
    if (type == "notice") working();
  } else if (type == "truncated") {
    status("! " + std::to_string(int_or(event, "dropped")) +
               " older messages are left out of the model's view",
           false);
  }
}

void repl_report::output(shown_call& call, std::string_view text) {
  for (const char c : call.filter.pass(text)) {
    if (c == '\n')
      output_line(call);
    else if (call.line.size() < tool_output_line_bytes_max)
      call.line += c;
  }
}

void repl_report::output_line(shown_call& call) {
  if (++call.lines <= tool_output_lines_shown_max)
    status("  | " + one_visible_line(call.line, room(4)), true);
  call.line.clear();
}

void repl_report::result(const json::object& event) {
  const bool success = bool_or(event, "success");
  const auto found = calls_.find(text_or(event, "id"));
  std::size_t lines = 0;
  if (found != calls_.end()) {
    auto& call = found->second;
    if (!call.line.empty()) output_line(call);
    lines = call.lines;
  }
  if (lines > tool_output_lines_shown_max)
    status("  | ... " + std::to_string(lines - tool_output_lines_shown_max) + " more lines", true);
  std::string line = success ? "  ok" : "  failed";
  if (calls_.size() > 1) line += " " + one_visible_line(text_or(event, "name"), 64);
  if (const auto ms = int_or(event, "duration_ms"); ms >= 1000) line += " after " + seconds(ms);
  if (!success)
    line += ": " + one_visible_line(text_or(event, "error"), 300);
  else if (const auto text = text_or(event, "output"); lines == 0 && !text.empty())
    line += ": " + one_visible_line(text.substr(0, text.find('\n')), room(line.size() + 2));
  status(line, success);
  if (found != calls_.end()) calls_.erase(found);
}

void repl_report::end(const json::object& result) {
  settle();
  const auto* problem = find(result, "error");
  if (!problem || !problem->is_object()) {
    if (const auto limit = text_or(result, "limit"); !limit.empty())
      status("! stopped: the limit " + visible(limit) + " was reached; \"go on\" goes on", false);
    return;
  }
  const auto& object = problem->get_object();
  if (text_or(object, "message") == "interrupted") {
    status("(stopped; what was said is kept. Ctrl-C again leaves)", true);
    return;
  }
  status("! " + visible(text_or(object, "message")), false);
  if (const auto hint = text_or(object, "hint"); !hint.empty()) status("  " + visible(hint), false);
}
}  // namespace rustic::cli
