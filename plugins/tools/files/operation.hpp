// What the operations share: turning an outcome into the result of a tool.
#pragma once

#include "file_tools.hpp"

namespace rustic::files {

// A failure becomes success false with its message; output and error are valid UTF-8.
tool_result finished(result<tool_result> outcome);

}  // namespace rustic::files
