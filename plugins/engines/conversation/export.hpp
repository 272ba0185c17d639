// plugins/engines/conversation/export.hpp - a session as Markdown for people.
#pragma once
#include <rustic/json.hpp>
#include <string>

namespace rustic::conversation {

std::string markdown_heading(const json::object& session);
std::string to_markdown(const json::object& message);
}  // namespace rustic::conversation
