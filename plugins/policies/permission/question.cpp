#include "question.hpp"

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

std::string printable(std::string_view text) {
  static constexpr char digits[] = "0123456789abcdef";
  const std::string clean = to_utf8(text);
  std::string out;
  for (std::size_t i = 0; i < clean.size(); ++i) {
    const auto byte = static_cast<unsigned char>(clean[i]);
    const auto next = [&](std::size_t n) {
      return i + n < clean.size() ? static_cast<unsigned char>(clean[i + n]) : 0U;
    };
    if ((byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7F) {
      out += "\\x";
      out.push_back(digits[byte >> 4]);
      out.push_back(digits[byte & 15]);
    } else if (byte == 0xC2 && next(1) >= 0x80 && next(1) < 0xA0) {  // C1 controls
      out += "\\u00";
      out.push_back(digits[next(1) >> 4]);
      out.push_back(digits[next(1) & 15]);
      ++i;
    } else if (byte == 0xE2 && ((next(1) == 0x80 && (next(2) == 0x8E || next(2) == 0x8F ||
                                                     (next(2) >= 0xA8 && next(2) <= 0xAE) ||
                                                     (next(2) >= 0x8B && next(2) <= 0x8D))) ||
                                (next(1) == 0x81 && next(2) >= 0xA0 && next(2) <= 0xAF))) {
      // Zero-width characters, line separators and the ones that turn the direction of text.
      const unsigned code = 0x2000U | ((next(1) & 0x3FU) << 6) | (next(2) & 0x3FU);
      out += "\\u";
      for (int shift = 12; shift >= 0; shift -= 4) out.push_back(digits[(code >> shift) & 15U]);
      i += 2;
    } else {
      out.push_back(clean[i]);
    }
  }
  return out;
}

json::object make_question(const call_request& call, const verdict& why, bool may_session,
                           bool may_project) {
  std::string subject;
  const json::value* command = call.arguments->if_contains("command");
  if (command != nullptr && command->is_string())
    subject = command->get_string();
  else
    subject = json::serialize(*call.arguments);
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
