#include "tool_catalogue.hpp"

#include <algorithm>
#include <rustic/schema.hpp>
#include <rustic/status.hpp>

#include "agents.hpp"
#include "argument_keys.hpp"
#include "limits.hpp"

namespace rustic::agent {

tool_catalogue::tool_catalogue() = default;
tool_catalogue::~tool_catalogue() = default;
tool_catalogue::tool_catalogue(tool_catalogue&&) noexcept = default;
tool_catalogue& tool_catalogue::operator=(tool_catalogue&&) noexcept = default;

void tool_catalogue::add(std::string_view name, std::string_view attributes) {
  const auto about = parse_object(attributes, "attributes");
  offered_tool tool;
  tool.name = name;
  tool.description = text_or(about, "description");
  tool.parameters = object_or_empty(about, "parameters");
  auto& schema = tool.parameters.as_object();
  if (!schema.contains("type")) schema["type"] = "object";
  if (!schema.contains("properties")) schema["properties"] = json::object();
  tool.read_only = bool_or(object_or_empty(about, "annotations"), "read_only");
  tools_.insert_or_assign(tool.name, std::move(tool));
}

tool_catalogue tool_catalogue::from_registry(
    const rai_host& host, const std::vector<std::vector<std::string>>& patterns) {
  struct listing {
    tool_catalogue out;
    const std::vector<std::vector<std::string>>& patterns;
  } state{{}, patterns};
  if (!RAI_HAS(&host, list)) return std::move(state.out);
  host.list(
      host.self, to_str("rustic.tool/*"),
      [](void* self, rai_str target, rai_str attributes) {
        auto& me = *static_cast<listing*>(self);
        auto name = to_view(target);
        name.remove_prefix(std::min(name.size(), std::string_view("rustic.tool/").size()));
        for (const auto& one : me.patterns)
          if (!matches_any(name, one)) return;
        try {
          me.out.add(name, to_view(attributes));
        } catch (
            const std::exception&) {  // attributes that cannot be read: the tool is not offered
        }
      },
      &state);
  return std::move(state.out);
}

json::array tool_catalogue::for_model() const {
  json::array out;
  for (const auto& [name, tool] : tools_)
    out.push_back(
        {{"name", tool.name}, {"description", tool.description}, {"parameters", tool.parameters}});
  return out;
}

const offered_tool* tool_catalogue::find(std::string_view name) const {
  const auto found = tools_.find(name);
  return found == tools_.end() ? nullptr : &found->second;
}

std::string tool_catalogue::expectation(const offered_tool& tool) const {
  return "The tool was not run. Call " + tool.name +
         " again with arguments that match this JSON Schema: " + json::serialize(tool.parameters);
}

std::string tool_catalogue::unknown(std::string_view name) const {
  std::string known;
  for (const auto& [tool_name, tool] : tools_) known += (known.empty() ? "" : ", ") + tool_name;
  if (known.empty()) known = "none";
  return "There is no tool named \"" + to_utf8(name.substr(0, 64)) + "\". The tools are: " + known +
         ".";
}

checked_call tool_catalogue::check(const json::object& part, bool cut_off) {
  checked_call call;
  call.id = text_or(part, "id");
  call.name = text_or(part, "name");
  // A provider that hands over parsed arguments must not make a call without any of them.
  if (const auto* given = rustic::find(part, "arguments"))
    call.text = given->is_string() ? std::string(given->get_string()) : json::serialize(*given);
  const auto* tool = find(call.name);
  if (!tool) {
    call.problem = unknown(call.name);
    try {
      call.arguments = parse_object(call.text);
      call.readable = true;
    } catch (const failure&) {
    }
    return call;
  }
  call.read_only = tool->read_only;
  if (call.text.size() > arguments_bytes_max) {
    call.problem = "The arguments are larger than " + std::to_string(arguments_bytes_max) +
                   " bytes. " + expectation(*tool);
    return call;
  }
  json::value value;
  try {
    const bool none = call.text.find_first_not_of(" \t\r\n") == std::string::npos;
    value = none ? json::value(json::object()) : parse_json(call.text, "the arguments");
  } catch (const failure& problem) {
    call.problem = "The arguments are not valid JSON (" + problem.problem().message +
                   "): " + to_utf8(cut_utf8(call.text, arguments_preview_bytes)) +
                   (call.text.size() > arguments_preview_bytes ? "..." : "") + "\n" +
                   expectation(*tool);
    return call;
  }
  if (!value.is_object()) {
    call.problem = "The arguments must be a JSON object. " + expectation(*tool);
    return call;
  }
  if (const auto key = repeated_key(call.text); !key.empty()) {
    call.problem =
        "The arguments name \"" + to_utf8(cut_utf8(key, 64)) + "\" twice. " + expectation(*tool);
    return call;
  }
  call.arguments = value.get_object();
  call.readable = true;
  if (cut_off && call.arguments.empty()) {
    call.problem =
        "The answer reached its length limit before the arguments. " + expectation(*tool);
    return call;
  }
  auto& schema = schemas_[call.name];
  try {
    if (!schema) schema = std::make_unique<json_schema>(json_schema::parse(tool->parameters));
  } catch (const std::exception& problem) {
    call.problem = "The schema of this tool cannot be used (" + std::string(problem.what()) +
                   "), so it cannot be called.";
    return call;
  }
  std::string problems;
  for (const auto& one : schema->validate(value))
    problems +=
        "\n- " + (one.pointer.empty() ? std::string("(root)") : one.pointer) + ": " + one.message;
  if (!problems.empty())
    call.problem =
        "The arguments do not match the tool's schema:" + problems + "\n" + expectation(*tool);
  return call;
}
}  // namespace rustic::agent
