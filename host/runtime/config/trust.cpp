// The trust file.
#include "host/runtime/config/trust.hpp"

#include <algorithm>
#include <rustic/json.hpp>
#include <rustic/status.hpp>

#include "host/runtime/config/files.hpp"
#include "host/runtime/config/limits.hpp"
#include "host/runtime/config/sha256.hpp"

namespace rustic::config {
namespace {
// Links are followed, so that a project has one name however it is reached.
std::string name_of(const std::filesystem::path& project) {
  std::error_code problem;
  const auto path = std::filesystem::canonical(project, problem);
  return to_utf8(problem ? std::filesystem::absolute(project, problem).lexically_normal().string()
                         : path.string());
}

json::object read_store(const std::filesystem::path& file) {
  try {
    return parse_object(read_file(file, trust_file_bytes_max), "the trust file");
  } catch (const failure& problem) {
    if (problem.problem().code == status_code::not_found) return {};
    throw;
  }
}
}  // namespace

void trust_store::trust(const std::filesystem::path& project, std::string_view hash) {
  const directory_lock lock(file_.parent_path());
  auto store = read_store(file_);
  auto& projects = store["projects"];
  if (!projects.is_object()) projects = json::object();
  auto& table = projects.as_object();
  const auto name = name_of(project);
  if (table.size() >= trusted_projects_max && !table.contains(name))
    throw failure(status_code::resource_exhausted,
                  "cannot trust " + name + ": " + file_.string() + " is full",
                  "remove projects that are gone");
  table[name] = json::object{{"sha256", hash}};
  store["version"] = 1;
  write_atomically(file_, json::serialize(store) + "\n");
}

void trust_store::untrust(const std::filesystem::path& project) {
  const directory_lock lock(file_.parent_path());
  auto store = read_store(file_);
  auto* projects = store.if_contains("projects");
  if (!projects || !projects->is_object()) return;
  if (projects->as_object().erase(name_of(project)) == 0) return;
  write_atomically(file_, json::serialize(store) + "\n");
}

bool trust_store::is_trusted(const std::filesystem::path& project, std::string_view hash) const {
  try {
    const auto store = read_store(file_);
    const auto* entry = find(object_or_empty(store, "projects"), name_of(project));
    return entry && entry->is_object() && !hash.empty() &&
           text_or(entry->as_object(), "sha256") == hash;
  } catch (const failure&) {
    return false;
  }
}

std::string hash_of_files(const std::filesystem::path& project,
                          std::vector<std::filesystem::path> files, std::size_t bytes_max) {
  std::sort(files.begin(), files.end());
  std::string all;
  for (const auto& file : files) {
    std::string content = "missing";
    try {
      content = sha256(read_file(project / file, bytes_max));
    } catch (const failure& problem) {
      if (problem.problem().code != status_code::not_found) throw;
    }
    all += file.generic_string() + '\0' + content + '\n';
  }
  return sha256(all);
}
}  // namespace rustic::config
