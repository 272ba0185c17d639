#include <rustic/tool.hpp>

namespace rustic {

tool_result tool_result::failed(std::string reason, std::string text) {
  tool_result result;
  result.success = false;
  result.error = std::move(reason);
  result.output = std::move(text);
  return result;
}

std::string to_body(const tool_result& result) {
  json::object body;
  body["success"] = result.success;
  body["output"] = to_utf8(result.output);
  if (result.error.empty())
    body["error"] = nullptr;
  else
    body["error"] = to_utf8(result.error);
  body["metadata"] = result.metadata;
  return json::serialize(body);
}

tool_result read_tool_result(const json::object& body) {
  tool_result result;
  result.success = bool_or(body, "success", true);
  result.output = text_or(body, "output");
  result.error = text_or(body, "error");
  result.metadata = object_or_empty(body, "metadata");
  return result;
}

void add_tool(setup& plugin, std::string_view name, tool_function function) {
  plugin.blocking(
      "rustic.tool/" + std::string(name), [function = std::move(function)](context& ctx) {
        if (ctx.request().method != "call")
          throw failure(status_code::unimplemented,
                        ctx.request().target + " has no method " + ctx.request().method);
        const auto body = ctx.request().object();
        return to_body(function(object_or_empty(body, "arguments"), ctx));
      });
}
}  // namespace rustic
