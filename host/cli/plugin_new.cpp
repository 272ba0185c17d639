#include "host/cli/commands.hpp"

namespace rustic::cli {

exit_code plugin_new_command(program&, const arguments&) {
  throw failure(status_code::unimplemented, "plugin new: not implemented yet");
}
}  // namespace rustic::cli
