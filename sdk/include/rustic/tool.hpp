// rustic/tool.hpp - tools: the result of one call, and the registration of a function as a tool.
#pragma once
#include <rustic/plugin.hpp>

namespace rustic {

// docs/interfaces/tool.md. A tool that ran and failed has success == false and says why in `error`.
struct tool_result {
  bool success = true;
  std::string output;
  std::string error;
  json::object metadata;

  tool_result() = default;
  tool_result(std::string text) : output(std::move(text)) {}
  tool_result(const char* text) : output(text) {}
  static tool_result failed(std::string reason, std::string output = {});
};

std::string to_body(const tool_result& result);
tool_result read_tool_result(const json::object& body);

// Registers `function` as rustic.tool/<name>, in the blocking form. It gets the arguments, that the
// agent has validated against the schema of the manifest.
using tool_function = std::function<tool_result(const json::object& arguments, context&)>;
void add_tool(setup& plugin, std::string_view name, tool_function function);
}  // namespace rustic
