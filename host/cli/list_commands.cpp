#include <cstdio>

#include "host/cli/commands.hpp"
#include "host/cli/table.hpp"
#include "host/runtime/config/trust.hpp"

namespace rustic::cli {
namespace {

exit_code tools_list(program& with, const arguments& given) {
  json::array objects;
  std::vector<std::vector<std::string>> rows;
  with.runtime().kernel().names().list("rustic.tool/*", [&](const kernel::listed& one) {
    const auto name = one.target.substr(one.target.find('/') + 1);
    json::object about;
    try {
      about = parse_object(one.attributes);
    } catch (const failure&) {
    }
    const bool read_only = bool_or(object_or_empty(about, "annotations"), "read_only");
    rows.push_back({name, one.owner, read_only ? "reads" : "changes",
                    std::string(text_or(about, "description"))});
    about["name"] = name;
    about["plugin"] = one.owner;
    objects.push_back(std::move(about));
  });
  if (given.json) {
    std::printf("%s\n", json::serialize(json::object{{"tools", std::move(objects)}}).c_str());
    return exit_code::done;
  }
  auto width = terminal_width();
  if (width == 0) width = 120;
  std::fputs(to_table({"NAME", "PLUGIN", "KIND", "ABOUT"}, rows, width).c_str(), stdout);
  return exit_code::done;
}

exit_code agents_list(program& with, const arguments& given) {
  const auto found = with.runtime().call("rustic.agent/default", "list", {});
  if (given.json) {
    std::printf("%s\n", json::serialize(found).c_str());
    return exit_code::done;
  }
  std::vector<std::vector<std::string>> rows;
  for (const auto& value : array_or_empty(found, "agents")) {
    const auto& agent = value.as_object();
    const auto or_dash = [&](std::string_view key) {
      const auto text = text_or(agent, key);
      return std::string(text.empty() ? "-" : text);
    };
    rows.push_back({std::string(text_or(agent, "name")), or_dash("provider"), or_dash("model"),
                    std::string(text_or(agent, "description"))});
  }
  std::fputs(to_table({"NAME", "PROVIDER", "MODEL", "ABOUT"}, rows, terminal_width()).c_str(),
             stdout);
  return exit_code::done;
}
}  // namespace

exit_code list_command(program& with, const arguments& given) {
  return given.what == command::tools_list ? tools_list(with, given) : agents_list(with, given);
}

exit_code trust_command(program& with, const arguments& given) {
  const auto& project = with.configuration().project();
  if (!project)
    throw failure(status_code::not_found,
                  "there is no project configuration in " + with.workspace().string() + " or above",
                  "it would be .rustic-ai/config.toml");
  config::trust_store store(with.configuration().view().paths.trust_file);
  if (given.what == command::untrust) {
    store.untrust(project->directory);
    std::printf("%s is no longer trusted.\n", project->file.c_str());
  } else {
    store.trust(project->directory, project->hash);
    std::printf("%s is trusted until it changes.\n", project->file.c_str());
  }
  return exit_code::done;
}
}  // namespace rustic::cli
