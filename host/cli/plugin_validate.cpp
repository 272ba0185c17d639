#include "host/cli/commands.hpp"

namespace rustic::cli {

exit_code plugin_validate_command(program&, const arguments&) {
  throw failure(status_code::unimplemented, "plugin validate: not implemented yet");
}
}  // namespace rustic::cli
