// tests/fuzz/arguments_fuzz.cpp - the arguments of tool calls as a model writes them.
#include <cstdint>
#include <cstdlib>
#include <rustic/schema.hpp>
#include <string_view>

#include "tool_catalogue.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  using namespace rustic;
  agent::tool_catalogue tools;
  tools.add("edit",
            R"({"parameters":{"type":"object","required":["path"],"additionalProperties":false,
    "properties":{"path":{"type":"string"},"count":{"type":"integer","minimum":1},
    "edits":{"type":"array","items":{"type":"object","properties":{"old":{"type":"string"}}}}}}})");
  json::object part{{"type", "tool_call"}, {"id", "1"}, {"name", "edit"}};
  part["arguments"] = std::string_view(reinterpret_cast<const char*>(data), bytes);
  const auto call = tools.check(part);
  // What may run has the shape that was promised; the rest has a reason that can be sent.
  if (call.problem.empty() && text_or(call.arguments, "path", "\1") == "\1") std::abort();
  if (!is_utf8(call.problem)) std::abort();
  return 0;
}
