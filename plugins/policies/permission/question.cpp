#include "question.hpp"

#include <algorithm>

#include "limits.hpp"

namespace rustic::permission {
namespace {

std::string join(const std::vector<grant>& grants) {
  std::string text;
  for (const grant& one : grants) text += (text.empty() ? "" : "; ") + one.describe();
  return text;
}

json::object choice(std::string_view id, std::string label, std::string_view key) {
  return {{"id", id}, {"label", std::move(label)}, {"key", key}};
}

}  // namespace

namespace {

// Control characters, and those that take no room or turn the direction of text.
bool hidden(char32_t code) {
  if (code < 0x20) return code != '\n' && code != '\t';
  struct range {
    char32_t first, last;
  };
  static constexpr range ranges[] = {
      {0x7F, 0x9F},     {0xAD, 0xAD},     {0x34F, 0x34F},   {0x61C, 0x61C},
      {0x115F, 0x1160}, {0x17B4, 0x17B5}, {0x180B, 0x180F}, {0x200B, 0x200F},
      {0x2028, 0x202E}, {0x2060, 0x206F}, {0x3164, 0x3164}, {0xFE00, 0xFE0F},
      {0xFEFF, 0xFEFF}, {0xFFA0, 0xFFA0}, {0xFFF0, 0xFFFB}, {0xE0000, 0xE0FFF}};
  return std::any_of(std::begin(ranges), std::end(ranges),
                     [&](const range& one) { return one.first <= code && code <= one.last; });
}

}  // namespace

std::string printable(std::string_view text) {
  static constexpr char digits[] = "0123456789abcdef";
  const std::string clean = to_utf8(text);
  std::string out;
  for (std::size_t i = 0; i < clean.size();) {
    const auto first = static_cast<unsigned char>(clean[i]);
    const std::size_t size = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    char32_t code = size == 1 ? first : first & (0x7FU >> size);
    for (std::size_t n = 1; n < size && i + n < clean.size(); ++n)
      code = (code << 6) | (static_cast<unsigned char>(clean[i + n]) & 0x3FU);
    if (hidden(code)) {
      const int length = code < 0x80 ? 2 : code < 0x10000 ? 4 : 8;
      out += code < 0x80 ? "\\x" : code < 0x10000 ? "\\u" : "\\U";
      for (int n = length - 1; n >= 0; --n) out.push_back(digits[(code >> (4 * n)) & 15U]);
    } else {
      out.append(clean, i, size);
    }
    i += size;
  }
  return out;
}

json::object make_question(const call_request& call, const verdict& why, bool may_session,
                           bool may_project) {
  std::string subject;
  const json::value* command = call.arguments->if_contains("command");
  if (command != nullptr && command->is_string()) {
    subject = command->get_string();
    json::object others = *call.arguments;
    others.erase("command");
    if (!others.empty()) subject += "\nwith " + json::serialize(others);
  } else {
    subject = json::serialize(*call.arguments);
  }
  subject = printable(subject);
  std::string body(cut_utf8(subject, max_question_bytes));
  if (body.size() < subject.size())
    body += "\n(" + std::to_string(subject.size() - body.size()) + " more bytes are not shown)";
  body += "\n\nAsked because " + printable(why.reason) + " (" + printable(why.rule) + ").";
  const std::string granted = printable(join(why.suggestion));
  if (why.suggestion.empty())
    body += "\nIt can be allowed once only: " + printable(why.why_once) + ".";

  json::array choices;
  choices.push_back(choice("once", "Yes, this once", "y"));
  if (!why.suggestion.empty() && may_session)
    choices.push_back(choice("session", "Yes, for the rest of this session: " + granted, "s"));
  if (!why.suggestion.empty() && may_project)
    choices.push_back(choice("project", "Yes, from now on in this project: " + granted, "p"));
  choices.push_back(choice("deny", "No", "n"));

  json::object out{{"kind", "permission"}, {"title", "Allow " + printable(call.tool) + "?"},
                   {"body", body},         {"choices", std::move(choices)},
                   {"tool", call.tool},    {"arguments", *call.arguments}};
  if (!granted.empty()) out["suggestion"] = granted;
  return out;
}

std::optional<answer> read_answer(const json::object& result, const json::object& question) {
  const std::string_view id = text_or(result, "answer");
  bool offered = false;
  for (const json::value& one : array_or_empty(question, "choices"))
    offered = offered || (one.is_object() && text_or(one.get_object(), "id") == id);
  if (!offered) return std::nullopt;
  answer out;
  out.reason = cut_utf8(text_or(result, "reason"), max_reason_bytes);
  if (id == "once") out.kind = answer_kind::once;
  if (id == "session") out.kind = answer_kind::session;
  if (id == "project") out.kind = answer_kind::project;
  return out;
}

error make_denial(std::string_view tool, const verdict& why, std::string_view hint) {
  error out;
  out.code = status_code::permission_denied;
  out.message =
      "the call of " + to_utf8(tool) + " was denied and did not run: " + to_utf8(why.reason) +
      " [" + to_utf8(why.rule) +
      "]. Do not make the same call again and do not look for a way around it; go on without "
      "it, or say what you need it for.";
  out.hint = hint;
  out.details = json::object{{"kind", "permission"},
                             {"decision", "deny"},
                             {"rule", to_utf8(why.rule)},
                             {"reason", to_utf8(why.reason)}};
  return out;
}

}  // namespace rustic::permission
