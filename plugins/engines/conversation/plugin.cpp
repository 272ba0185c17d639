// plugins/engines/conversation/plugin.cpp - offers rustic.conversation/default.
#include <rustic/plugin.hpp>

#include "conversation.hpp"

namespace {
struct plugin {
  explicit plugin(rustic::setup& setup) {
    setup.coroutine("rustic.conversation/default", rustic::conversation::serve);
  }
};
}  // namespace
RUSTIC_PLUGIN(plugin)
