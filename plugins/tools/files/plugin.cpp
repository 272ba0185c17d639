// The adapter: six tools in the blocking form, all of them one file_tools.
#include <rustic/tool.hpp>

#include "file_tools.hpp"

namespace rustic::files {
namespace {

std::size_t size_setting(const json::object& config, std::string_view key, std::size_t fallback) {
  return static_cast<std::size_t>(int_or(config, key, static_cast<std::int64_t>(fallback)));
}

limits read_limits(const json::object& config) {
  limits out;
  out.output_bytes_max = size_setting(config, "output_bytes_max", out.output_bytes_max);
  out.whole_file_bytes_max = size_setting(config, "file_bytes_max", out.whole_file_bytes_max);
  out.grep_file_bytes_max = size_setting(config, "grep_file_bytes_max", out.grep_file_bytes_max);
  out.seen_files_max = size_setting(config, "seen_files_max", out.seen_files_max);
  out.walk_time_max_ms =
      static_cast<int>(duration_ms_or(config, "walk_time_max", out.walk_time_max_ms));
  out.sync = bool_or(config, "sync", out.sync);
  if (const json::value* names = find(config, "protected_names"); names && names->is_array()) {
    out.protected_names.clear();
    for (const json::value& name : names->get_array()) {
      if (name.is_string()) out.protected_names.emplace_back(name.get_string());
    }
  }
  return out;
}

call_scope read_scope(context& call) {
  const json::object& members = call.scope();
  call_scope out;
  out.session = text_or(members, "session");
  out.workspace = text_or(members, "workspace");
  if (out.workspace.empty()) {
    throw rustic::failure(status_code::failed_precondition,
                          "file tools: the call's context names no workspace",
                          "the caller sets 'workspace' to an absolute directory");
  }
  for (const json::value& root : array_or_empty(members, "roots")) {
    if (root.is_string()) out.roots.emplace_back(root.get_string());
  }
  std::vector<std::string> withheld;
  const json::object body = call.request().object();
  if (const json::value* list = find(body, "withheld")) {
    // What cannot be read must not read as nothing: the empty expression matches every path.
    if (!list->is_array() || list->get_array().size() > withheld_max) {
      withheld.emplace_back();
    } else {
      for (const json::value& one : list->get_array()) {
        withheld.emplace_back(one.is_string() ? std::string(one.get_string()) : std::string());
      }
    }
  }
  out.withheld = withheld_paths(withheld);
  out.cancelled = [&call] { return call.cancelled(); };
  return out;
}

struct files_plugin {
  explicit files_plugin(setup& plugin) : tools(read_limits(plugin.config())) {
    for (const char* name :
         {"files_read", "files_write", "files_edit", "files_list", "files_glob", "files_grep"}) {
      add_tool(plugin, name, [this, name](const json::object& arguments, context& call) {
        tool_result done = tools.call(name, arguments, read_scope(call));
        if (done.cancelled) {
          throw rustic::failure(status_code::cancelled, std::string(name) + ": cancelled");
        }
        rustic::tool_result out;
        out.success = done.success;
        out.output = std::move(done.output);
        out.error = std::move(done.error);
        out.metadata = std::move(done.metadata);
        return out;
      });
    }
  }

  file_tools tools;
};

}  // namespace
}  // namespace rustic::files

RUSTIC_PLUGIN(rustic::files::files_plugin)
