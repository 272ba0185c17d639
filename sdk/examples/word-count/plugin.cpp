// plugin.cpp - offers the function as a tool.
#include <rustic/tool.hpp>

#include "word_count.hpp"

namespace {

struct plugin {
  explicit plugin(rustic::setup& setup) {
    rustic::add_tool(setup, "word_count",
                     [](const rustic::json::object& arguments, rustic::context&) {
                       const auto text = rustic::require_text(arguments, "text", "word_count");
                       const auto found = word_count_plugin::count(text);
                       rustic::tool_result result(std::to_string(found.lines) + " lines, " +
                                                  std::to_string(found.words) + " words, " +
                                                  std::to_string(found.characters) + " characters");
                       result.metadata["words"] = found.words;
                       return result;
                     });
  }
};
}  // namespace

RUSTIC_PLUGIN(plugin)
