#include "host/runtime/plugin_ledger.hpp"

#include <algorithm>
#include <rustic/json.hpp>
#include <rustic/status.hpp>

#include "host/runtime/config/files.hpp"
#include "host/runtime/config/sha256.hpp"
#include "host/runtime/limits.hpp"
#include "host/runtime/options.hpp"

namespace rustic::runtime {
namespace {

ledger_plugin read_plugin(const json::object& written) {
  ledger_plugin out;
  out.disabled = bool_or(written, "disabled");
  out.quarantined = bool_or(written, "quarantined");
  out.last_death = text_or(written, "last_death");
  out.reloads = int_or(written, "reloads");
  for (const auto& when : array_or_empty(written, "deaths_unix_ms"))
    if (when.is_int64() && out.deaths_unix_ms.size() < ledger_deaths_max)
      out.deaths_unix_ms.push_back(when.get_int64());
  return out;
}

ledger_state read_state(const std::filesystem::path& file) {
  ledger_state out;
  if (file.empty()) return out;
  json::object root;
  try {
    root = parse_object(config::read_file(file, ledger_bytes_max), file.string());
  } catch (const failure& problem) {
    if (problem.problem().code == status_code::not_found) return out;
    throw;
  }
  for (const auto& [id, value] : object_or_empty(root, "plugins"))
    if (const auto* written = value.if_object())
      out.plugins.emplace(std::string(id), read_plugin(*written));
  for (const auto& [hash, value] : object_or_empty(root, "trusted"))
    if (const auto* written = value.if_object())
      out.trusted.emplace(std::string(hash), trusted_file{std::string(text_or(*written, "id")),
                                                          std::string(text_or(*written, "how")),
                                                          int_or(*written, "unix_ms")});
  return out;
}

std::string to_text(const ledger_state& state) {
  json::object plugins, trusted;
  for (const auto& [id, one] : state.plugins) {
    json::object written;
    if (one.disabled) written["disabled"] = true;
    if (one.quarantined) written["quarantined"] = true;
    if (!one.last_death.empty()) written["last_death"] = one.last_death;
    if (one.reloads != 0) written["reloads"] = one.reloads;
    if (!one.deaths_unix_ms.empty())
      written["deaths_unix_ms"] = json::array(one.deaths_unix_ms.begin(), one.deaths_unix_ms.end());
    if (!written.empty()) plugins[id] = std::move(written);
  }
  for (const auto& [hash, one] : state.trusted)
    trusted[hash] = json::object{{"id", one.id}, {"how", one.how}, {"unix_ms", one.unix_ms}};
  json::object root{{"version", 1}};
  root["plugins"] = std::move(plugins);
  root["trusted"] = std::move(trusted);
  return json::serialize(root) + "\n";
}
}  // namespace

const ledger_plugin& ledger_state::of(std::string_view id) const {
  static const ledger_plugin usual;
  const auto found = plugins.find(id);
  return found == plugins.end() ? usual : found->second;
}

void ledger_state::trust(std::string hash, std::string_view id, std::string_view how,
                         std::int64_t unix_ms) {
  trusted_file file{std::string(id), std::string(how), unix_ms};
  trusted.insert_or_assign(std::move(hash), std::move(file));
  const auto older = [](const auto& a, const auto& b) {
    return a.second.unix_ms < b.second.unix_ms;
  };
  while (trusted.size() > trusted_files_max)
    trusted.erase(std::min_element(trusted.begin(), trusted.end(), older));
}

ledger_state plugin_ledger::read() const {
  try {
    return read_state(file_);
  } catch (const failure& problem) {
    ledger_state out;
    out.problem = problem.problem().message;
    return out;
  }
}

ledger_state plugin_ledger::change(const std::function<void(ledger_state&)>& edit) const {
  if (file_.empty())
    throw failure(status_code::failed_precondition,
                  "nothing can be remembered about plugins: there is no directory for state");
  const config::directory_lock lock(file_.parent_path());
  ledger_state state;
  try {
    state = read_state(file_);
  } catch (const failure& problem) {
    throw failure(problem.problem().code, problem.problem().message,
                  "move " + file_.string() + " away; it is then made anew");
  }
  const auto before = to_text(state);
  edit(state);
  for (auto& [id, one] : state.plugins)
    if (one.deaths_unix_ms.size() > ledger_deaths_max)
      one.deaths_unix_ms.erase(
          one.deaths_unix_ms.begin(),
          one.deaths_unix_ms.end() - static_cast<std::ptrdiff_t>(ledger_deaths_max));
  const auto after = to_text(state);
  if (after != before) config::write_atomically(file_, after);
  return state;
}

std::filesystem::path ledger_file(const options& with) {
  if (with.state_directory.empty()) return {};
  return with.state_directory / "plugins.json";
}

std::string hash_of_plugin_file(const std::filesystem::path& file) {
  return config::sha256(config::read_file(file, plugin_file_bytes_max));
}
}  // namespace rustic::runtime
