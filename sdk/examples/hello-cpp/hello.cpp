#include <rustic/tool.hpp>

struct hello {
  explicit hello(rustic::setup& plugin) {
    rustic::add_tool(plugin, "hello", [](const rustic::json::object& arguments, rustic::context&) {
      return "Hello, " + std::string(rustic::text_or(arguments, "name", "world")) + "!";
    });
  }
};
RUSTIC_PLUGIN(hello)
