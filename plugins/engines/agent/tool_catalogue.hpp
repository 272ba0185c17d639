// plugins/engines/agent/tool_catalogue.hpp - the tools that an agent offers to its model, and the
// check of what the model asks for.
#pragma once
#include <rustic/abi.h>

#include <map>
#include <memory>
#include <rustic/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace rustic {
class json_schema;
}

namespace rustic::agent {

struct offered_tool {
  std::string name;
  std::string description;
  json::value parameters;
  bool read_only = false;
};

// One tool call of the model, checked. With `problem` it must not run: the problem is its result.
struct checked_call {
  std::string id;
  std::string name;
  std::string text;        // the arguments exactly as the model wrote them
  json::object arguments;  // parsed; empty when they could not be
  bool readable = false;   // they could be parsed
  std::string problem;
  bool read_only = false;
};

// One turn's tools. Threads: the turn's strand.
class tool_catalogue {
 public:
  tool_catalogue();
  ~tool_catalogue();
  tool_catalogue(tool_catalogue&&) noexcept;
  tool_catalogue& operator=(tool_catalogue&&) noexcept;

  // What the registry offers and the patterns allow, sorted by name. Opens no plugin.
  static tool_catalogue from_registry(const rai_host& host,
                                      const std::vector<std::vector<std::string>>& patterns);
  void add(std::string_view name, std::string_view attributes);

  // For rustic.provider: [{name, description, parameters}].
  json::array for_model() const;
  const offered_tool* find(std::string_view name) const;

  // Checks a `tool_call` part of an assistant message. Malformed, cut off, not an object, unknown
  // tool, against the schema: each gives a problem that shows the model what is expected. Empty
  // arguments stand for none, unless `cut_off`: the answer ended at its length limit with this
  // call.
  checked_call check(const json::object& part, bool cut_off = false);

 private:
  std::string expectation(const offered_tool& tool) const;
  std::string unknown(std::string_view name) const;

  std::map<std::string, offered_tool, std::less<>> tools_;
  std::map<std::string, std::unique_ptr<json_schema>, std::less<>> schemas_;
};
}  // namespace rustic::agent
