#include <cstdio>

#include "host/cli/commands.hpp"
#include "host/cli/table.hpp"

namespace rustic::cli {
namespace {

json::object to_json(const kernel::abi::plugin_status& one) {
  json::object out{{"id", one.file.about.id},
                   {"version", one.file.about.version},
                   {"description", one.file.about.description},
                   {"license", one.file.about.license},
                   {"path", one.file.path.string()},
                   {"build_id", one.file.build_id},
                   {"state", kernel::abi::state_name(one.state)},
                   {"generation", one.generation}};
  if (one.reason.empty())
    out["reason"] = nullptr;
  else
    out["reason"] = one.reason;
  json::array targets;
  for (const auto& entry : one.file.about.provides)
    targets.emplace_back(entry.target() + (entry.type.empty() ? "" : " (type " + entry.type + ")"));
  out["provides"] = std::move(targets);
  const auto texts = [&](const char* key, const std::vector<std::string>& values) {
    json::array list;
    for (const auto& value : values) list.emplace_back(value);
    out[key] = std::move(list);
  };
  texts("requires", one.file.about.requires_targets);
  texts("wants", one.file.about.wants_targets);
  texts("permissions", one.file.about.permissions);
  return out;
}

// Everything that a person looking for a broken plugin wants to see, whatever else is wrong.
std::vector<kernel::abi::plugin_status> all_plugins(program& with) {
  return with.runtime().plugins().list();
}

exit_code plugin_list(program& with, const arguments& given) {
  json::array objects;
  std::vector<std::vector<std::string>> rows;
  for (const auto& one : all_plugins(with)) {
    objects.push_back(to_json(one));
    const auto state = one.file.usable() ? std::string(state_name(one.state)) : "unusable";
    const auto& about = one.file.about;
    const auto id = about.id.empty() ? one.file.path.filename().string() : about.id;
    rows.push_back({id, one.file.about.version, state,
                    one.reason.empty() ? one.file.about.description : one.reason});
  }
  if (given.json)
    std::printf("%s\n", json::serialize(json::object{{"plugins", std::move(objects)}}).c_str());
  else
    std::fputs(to_table({"ID", "VERSION", "STATE", "ABOUT"}, rows, terminal_width()).c_str(),
               stdout);
  return exit_code::done;
}

exit_code plugin_info(program& with, const arguments& given) {
  for (const auto& one : all_plugins(with)) {
    if (one.file.about.id != given.subject && one.file.path.filename() != given.subject) continue;
    const auto object = to_json(one);
    if (given.json) {
      std::printf("%s\n", json::serialize(object).c_str());
      return exit_code::done;
    }
    for (const auto& [key, value] : object) {
      std::string text;
      if (value.is_array()) {
        for (const auto& entry : value.get_array())
          text += (text.empty() ? "" : ", ") + std::string(entry.as_string());
      } else if (value.is_string()) {
        text = value.get_string();
      } else if (!value.is_null()) {
        text = json::serialize(value);
      }
      if (!text.empty()) std::printf("%-12s %s\n", std::string(key).c_str(), text.c_str());
    }
    return exit_code::done;
  }
  throw failure(status_code::invalid_argument, "there is no plugin \"" + given.subject + "\"",
                "rustic-ai plugin list shows them");
}
}  // namespace

exit_code plugin_command(program& with, const arguments& given) {
  switch (given.what) {
    case command::plugin_list:
      return plugin_list(with, given);
    case command::plugin_info:
      return plugin_info(with, given);
    default:
      throw failure(status_code::unimplemented, "this command is not there yet");
  }
}
}  // namespace rustic::cli
