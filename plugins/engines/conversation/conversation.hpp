// plugins/engines/conversation/conversation.hpp - the methods of rustic.conversation over
// rustic.storage/default.
//
// Stateless: everything lives in storage. Each method is one coroutine on the strand of its call
// and throws failure.
#pragma once
#include <rustic/call.hpp>
#include <string>

namespace rustic::conversation {

// Answers one call: picks the method and gives its result as JSON text.
task<std::string> serve(context& ctx);

// A session's title from the first thing that the person said: one line, shortened.
std::string title_from(std::string_view text);
}  // namespace rustic::conversation
