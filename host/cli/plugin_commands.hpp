// host/cli/plugin_commands.hpp - the commands `rustic-ai plugin ...` that look after plugin files.
#pragma once
#include "host/cli/arguments.hpp"
#include "host/cli/exit_code.hpp"
#include "host/cli/program.hpp"

namespace rustic::cli {

exit_code plugin_list(program& with, const arguments& given);
exit_code plugin_info(program& with, const arguments& given);
exit_code plugin_install(program& with, const arguments& given);
exit_code plugin_remove(program& with, const arguments& given);
exit_code plugin_enable(program& with, const arguments& given);
exit_code plugin_disable(program& with, const arguments& given);
exit_code plugin_reload(program& with, const arguments& given);
exit_code plugin_doctor(program& with, const arguments& given);
}  // namespace rustic::cli
