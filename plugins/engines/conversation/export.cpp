#include "export.hpp"

#include <algorithm>

namespace rustic::conversation {
namespace {

// A fence longer than any run of backticks inside.
std::string fenced(std::string_view text, std::string_view language) {
  std::size_t run = 0, longest = 2;
  for (const char c : text) {
    run = c == '`' ? run + 1 : 0;
    longest = std::max(longest, run);
  }
  const std::string fence(longest + 1, '`');
  std::string out = fence + std::string(language) + "\n" + std::string(text);
  if (!out.ends_with('\n')) out += '\n';
  return out + fence + "\n\n";
}
}  // namespace

std::string markdown_heading(const json::object& session) {
  std::string out = "# ";
  const auto title = text_or(session, "title");
  out += title.empty() ? "Session " + std::string(text_or(session, "id")) : std::string(title);
  return out + "\n\nSession `" + std::string(text_or(session, "id")) + "`\n\n";
}

std::string to_markdown(const json::object& message) {
  std::string out;
  const auto role = text_or(message, "role");
  bool headed = false;
  for (const auto& value : array_or_empty(message, "parts")) {
    const auto* part = value.if_object();
    if (!part) continue;
    const auto type = text_or(*part, "type");
    if (type == "text") {
      if (!headed) out += role == "user" ? "## User\n\n" : "## Assistant\n\n";
      headed = true;
      out += std::string(text_or(*part, "text")) + "\n\n";
    } else if (type == "tool_call") {
      out += "**Tool call** `" + std::string(text_or(*part, "name")) + "`\n\n" +
             fenced(text_or(*part, "arguments"), "json");
    } else if (type == "tool_result") {
      out += bool_or(*part, "is_error") ? "**Tool error**\n\n" : "**Tool result**\n\n";
      out += fenced(text_or(*part, "output"), "");
    } else if (type == "image" || type == "file") {
      out += "*(" + std::string(type) + " " + std::string(text_or(*part, "name")) + ")*\n\n";
    }
  }
  return out;
}
}  // namespace rustic::conversation
