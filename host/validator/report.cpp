#include "host/validator/report.hpp"

#include <algorithm>
#include <rustic/json.hpp>

#include "host/validator/limits.hpp"

namespace rustic::validator {
namespace {

std::string_view mark(outcome result) {
  switch (result) {
    case outcome::passed:
      return "ok    ";
    case outcome::failed:
      return "FAIL  ";
    case outcome::warning:
      return "warn  ";
    case outcome::skipped:
      return "skip  ";
    case outcome::crashed:
      return "CRASH ";
    case outcome::hung:
      return "HUNG  ";
  }
  return "FAIL  ";
}

// "      label text", with the text folded at spaces.
void fold(std::string& out, std::string_view label, std::string_view text) {
  if (text.empty()) return;
  constexpr std::size_t indent = 16;
  std::string line = "      " + std::string(label);
  line.resize(indent, ' ');
  std::size_t used = line.size();
  bool first = true;
  while (!text.empty()) {
    const auto end = text.find(' ');
    const auto word = text.substr(0, end);
    if (!first && used + 1 + word.size() > report_columns) {
      out += line + "\n";
      line.assign(indent, ' ');
      used = indent;
      first = true;
    }
    if (!first) line += ' ';
    line += word;
    used = line.size();
    first = false;
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  out += line + "\n";
}

std::string xml(std::string_view text) {
  std::string out;
  for (const char c : to_utf8(text)) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '&')
      out += "&amp;";
    else if (c == '"')
      out += "&quot;";
    else
      out += byte < 0x20 && c != '\n' && c != '\t' ? ' ' : c;
  }
  return out;
}

std::string_view family(std::string_view name) {
  return name.substr(0, name.find('.'));
}
}  // namespace

std::string text_of(const checked& one, bool told) {
  std::string out(mark(one.how.result));
  out += one.what->name;
  out.resize(std::max(out.size() + 1, 6 + name_columns), ' ');
  out += one.what->title;
  out += "\n";
  if (one.how.result == outcome::passed) return out;
  if (!told) fold(out, "because", one.how.reason);
  if (one.how.result == outcome::skipped) return out;
  fold(out, "expected", one.how.expected);
  fold(out, "seen", one.how.seen);
  fold(out, "do", one.what->advice);
  return out;
}

std::string text_summary(const run_options& with, const run_result& all) {
  std::string out = "\n" + (all.plugin.empty() ? with.file.filename().string() : all.plugin) + ": ";
  bool first = true;
  for (const auto result : {outcome::passed, outcome::failed, outcome::crashed, outcome::hung,
                            outcome::warning, outcome::skipped}) {
    const auto count = all.count(result);
    if (count == 0 && result != outcome::passed) continue;
    out +=
        (first ? "" : ", ") + std::to_string(count) + " " +
        std::string(result == outcome::warning && count != 1 ? "warnings" : outcome_name(result));
    first = false;
  }
  out += "\nstrictness " + std::to_string(with.strictness) + " of 10, seed " +
         std::to_string(with.seed) + "\n";
  if (!all.passed())
    out += "Again one check alone: --only NAME; in this process,\nfor a debugger: --in-process\n";
  return out;
}

std::string json_report(const run_options& with, const run_result& all) {
  json::array checks;
  for (const auto& one : all.checks) {
    json::object entry{{"name", one.what->name},
                       {"family", family(one.what->name)},
                       {"level", one.what->level},
                       {"title", one.what->title},
                       {"status", outcome_name(one.how.result)},
                       {"duration_ms", one.how.duration_ms}};
    if (one.how.result == outcome::skipped) {
      entry["reason"] = one.how.reason;
    } else if (one.how.result != outcome::passed) {
      entry["expected"] = one.how.expected;
      entry["seen"] = one.how.seen;
      entry["advice"] = one.what->advice;
    }
    checks.push_back(std::move(entry));
  }
  json::object summary;
  for (const auto result : {outcome::passed, outcome::failed, outcome::warning, outcome::skipped,
                            outcome::crashed, outcome::hung})
    summary[outcome_name(result)] = all.count(result);
  const json::object out{{"file", with.file.string()},
                         {"plugin", all.plugin},
                         {"strictness", with.strictness},
                         {"seed", with.seed},
                         {"passed", all.passed()},
                         {"summary", summary},
                         {"checks", checks}};
  return json::serialize(out) + "\n";
}

std::string junit_report(const run_options& with, const run_result& all) {
  const auto bad = all.count(outcome::failed);
  const auto broken = all.count(outcome::crashed) + all.count(outcome::hung);
  std::string out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"" +
                    xml(all.plugin.empty() ? with.file.filename().string() : all.plugin) +
                    "\" tests=\"" + std::to_string(all.checks.size()) + "\" failures=\"" +
                    std::to_string(bad) + "\" errors=\"" + std::to_string(broken) +
                    "\" skipped=\"" + std::to_string(all.count(outcome::skipped)) + "\">\n";
  for (const auto& one : all.checks) {
    const auto& how = one.how;
    out += "  <testcase classname=\"" + xml(family(one.what->name)) + "\" name=\"" +
           xml(one.what->name) + "\" time=\"" + std::to_string(how.duration_ms / 1000) + "." +
           std::to_string(1000 + how.duration_ms % 1000).substr(1) + "\"";
    const auto words = "expected: " + how.expected + "\nseen: " + how.seen +
                       "\ndo: " + std::string(one.what->advice);
    if (how.result == outcome::passed)
      out += "/>\n";
    else if (how.result == outcome::skipped)
      out += "><skipped message=\"" + xml(how.reason) + "\"/></testcase>\n";
    else if (how.result == outcome::warning)
      out += "><system-out>warning\n" + xml(words) + "</system-out></testcase>\n";
    else if (how.result == outcome::failed)
      out += "><failure message=\"" + xml(one.what->title) + "\">" + xml(words) +
             "</failure></testcase>\n";
    else
      out += "><error message=\"" + std::string(outcome_name(how.result)) + "\">" + xml(words) +
             "</error></testcase>\n";
  }
  return out + "</testsuite>\n";
}

std::string list_of_checks() {
  std::string out;
  for (const auto* one : all_checks()) {
    std::string line(one->name);
    line.resize(name_columns, ' ');
    line += (one->level < 10 ? " " : "") + std::to_string(one->level) + "  ";
    line += one->title;
    out += line + (one->advisory ? " (warning)\n" : "\n");
  }
  return out;
}
}  // namespace rustic::validator
