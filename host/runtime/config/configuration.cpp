// Finding and combining the layers, and answering questions about them.
#include "host/runtime/config/configuration.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <rustic/schema.hpp>
#include <rustic/status.hpp>

#include "host/runtime/config/check.hpp"
#include "host/runtime/config/files.hpp"
#include "host/runtime/config/key_path.hpp"
#include "host/runtime/config/limits.hpp"
#include "host/runtime/config/redact.hpp"
#include "host/runtime/config/secret.hpp"
#include "host/runtime/config/sha256.hpp"
#include "host/runtime/config/trust.hpp"

namespace rustic::config {
namespace {
constexpr const char* names[] = {"config.toml", "config.json", "config.yaml", "config.yml"};

bool is_there(const std::filesystem::path& path) {
  return ::access(path.c_str(), F_OK) == 0;
}

// Also a link that leads nowhere: somebody means there to be a file.
bool stands_there(const std::filesystem::path& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0;
}

// What may not be looked at must not pass for what is not there: it may hold rules that deny.
bool is_closed(const std::filesystem::path& directory) {
  return ::access(directory.c_str(), X_OK) != 0 && errno == EACCES;
}

// The configuration file of a directory, and the ones it hides.
std::vector<std::filesystem::path> files_in(const std::filesystem::path& directory) {
  std::vector<std::filesystem::path> found;
  for (const char* name : names)
    if (stands_there(directory / name)) found.push_back(directory / name);
  return found;
}

bool belongs_to_user(const std::filesystem::path& file) {
  struct stat info {};
  return ::stat(file.c_str(), &info) == 0 && (info.st_uid == ::geteuid() || info.st_uid == 0) &&
         (info.st_mode & S_IWOTH) == 0;
}

// The nearest directory upward with a .rustic-ai in it, up to the root of the git checkout. Home is
// nobody's project: ~/.rustic-ai would otherwise apply to everything below it.
std::optional<std::filesystem::path> project_above(const surroundings& around) {
  auto directory = around.cwd.lexically_normal();
  const auto home = around.home.lexically_normal();
  for (std::size_t level = 0; level < project_levels_max; ++level) {
    if (directory == home) return std::nullopt;
    if (!files_in(directory / ".rustic-ai").empty()) return directory;
    if (is_there(directory / ".git") || directory == directory.parent_path()) return std::nullopt;
    directory = directory.parent_path();
  }
  return std::nullopt;
}

std::string key_of_pointer(const json::value& root, std::string_view pointer, std::string key) {
  const json::value* node = &root;
  while (!pointer.empty() && node) {
    pointer.remove_prefix(1);
    const auto end = std::min(pointer.find('/'), pointer.size());
    std::string token;
    for (std::size_t i = 0; i < end; ++i) {
      if (pointer[i] == '~' && i + 1 < end)
        token += pointer[++i] == '1' ? '/' : '~';
      else
        token += pointer[i];
    }
    pointer.remove_prefix(end);
    if (const auto* list = node->if_array()) {
      const auto index = static_cast<std::size_t>(std::strtoull(token.c_str(), nullptr, 10));
      key = join(key, index);
      node = index < list->size() ? &(*list)[index] : nullptr;
    } else {
      key = join(key, token);
      node = node->is_object() ? node->as_object().if_contains(token) : nullptr;
    }
  }
  return key;
}
}  // namespace

configuration configuration::load(const load_request& request) {
  configuration result;
  result.around_ = request.around;
  result.schema_ = std::make_shared<const json::value>(configuration_schema());
  layer built_in;
  built_in.name = "built-in";
  built_in.doc.file = "built-in default";
  built_in.doc.root = defaults_of(*result.schema_);
  result.layers_.push_back(std::move(built_in));
  result.view_.paths = directories_of(request.around);

  result.add_directory(result.view_.paths.config_dir, "user");
  if (!request.without_project) result.add_project();
  if (request.config_file) {
    result.add_file(expand_path(request.config_file->string(), request.around, request.around.cwd),
                    "file");
  } else if (const auto file = request.around.variable("RUSTIC_AI_CONFIG")) {
    result.add_file(expand_path(*file, request.around, request.around.cwd), "file");
  }
  result.rebuild();
  result.add_layer(
      environment_layer(request.around, result.value_, *result.schema_, result.problems_));
  result.add_layer(flags_layer(request.flags, *result.schema_, result.problems_));
  result.rebuild();
  result.build_view();
  return result;
}

void configuration::add_directory(const std::filesystem::path& directory, const std::string& name) {
  if (is_closed(directory)) {
    problems_.push_back({severity::error,
                         {directory.string(), 0, 0},
                         {},
                         "cannot look for a configuration here: permission denied"});
    return;
  }
  const auto found = files_in(directory);
  if (found.empty()) return;
  for (std::size_t i = 1; i < found.size(); ++i)
    problems_.push_back({severity::warning,
                         {found[i].string(), 0, 0},
                         {},
                         "ignored, because " + found[0].string() + " is there too; keep one"});
  add_file(found[0], name);
}

void configuration::add_file(const std::filesystem::path& file, const std::string& name) {
  const auto kind = format_of(file);
  if (!kind) {
    problems_.push_back({severity::error,
                         {file.string(), 0, 0},
                         {},
                         "expected a name that ends in .toml, .json or .yaml"});
    return;
  }
  try {
    layer entry;
    entry.name = name;
    entry.doc = parse_document(read_file(file, file_bytes_max), *kind, file.string(), problems_);
    add_layer(std::move(entry));
  } catch (const failure& error) {
    problems_.push_back({severity::error, {file.string(), 0, 0}, {}, error.what()});
  }
}

void configuration::add_project() {
  const auto directory = project_above(around_);
  if (!directory) return;
  const auto found = files_in(*directory / ".rustic-ai");
  const auto& file = found[0];
  const auto warn = [&](std::string message) {
    problems_.push_back({severity::warning, {file.string(), 0, 0}, {}, std::move(message)});
  };
  if (!belongs_to_user(file)) {
    warn("ignored: the file belongs to somebody else, or everybody may write it");
    return;
  }
  // One reading serves the hash and the parser, so that nothing can change in between.
  std::string text;
  try {
    text = read_file(file, file_bytes_max);
  } catch (const failure& error) {
    warn(std::string("ignored: ") + error.what());
    return;
  }
  project_ = project_file{*directory, file, sha256(text), false};
  project_->trusted = trust_store(view_.paths.trust_file).is_trusted(*directory, project_->hash);
  if (project_->trusted) {
    for (std::size_t i = 1; i < found.size(); ++i)
      warn("hides " + found[i].string() + "; keep one");
    layer entry;
    entry.name = "project";
    entry.doc = parse_document(text, *format_of(file), file.string(), problems_);
    add_layer(std::move(entry));
    return;
  }
  // A stranger's file must not keep the program from working: its errors are warnings.
  std::vector<problem> found_problems;
  layer entry;
  entry.name = "project";
  entry.doc = parse_document(text, *format_of(file), file.string(), found_problems);
  layer all = entry;
  all.active = false;
  keep_harmless(entry.doc, *schema_,
                "to trust it, look at the file and run: rustic-ai trust " + directory->string(),
                found_problems);
  for (auto& finding : check(entry.doc.root, *schema_))
    found_problems.push_back(
        {finding.level, entry.doc.where(finding.key), finding.key, std::move(finding.message)});
  if (has_errors(found_problems)) entry.doc.root = {};
  for (auto& found_problem : found_problems) {
    if (found_problem.level == severity::error) found_problem.message += "; the file is ignored";
    found_problem.level = severity::warning;
    problems_.push_back(std::move(found_problem));
  }
  layers_.push_back(std::move(all));
  layers_.push_back(std::move(entry));
}

void configuration::add_layer(layer entry) {
  for (auto& finding : check(entry.doc.root, *schema_))
    problems_.push_back(
        {finding.level, entry.doc.where(finding.key), finding.key, std::move(finding.message)});
  layers_.push_back(std::move(entry));
}

void configuration::rebuild() {
  value_ = {};
  for (const auto& entry : layers_)
    if (entry.active) merge(value_, entry.doc.root);
}

std::vector<std::filesystem::path> configuration::files() const {
  std::vector<std::filesystem::path> result;
  for (const auto& entry : layers_)
    if (entry.active && (entry.name == "user" || entry.name == "project" || entry.name == "file"))
      result.emplace_back(entry.doc.file);
  return result;
}

void configuration::report(severity level, std::string_view key, std::string message) {
  problems_.push_back({level, where(key), std::string(key), std::move(message)});
}

location configuration::where(std::string_view key) const {
  const auto steps = split_key(key);
  const auto canonical = join_all(steps);
  for (auto entry = layers_.rbegin(); entry != layers_.rend(); ++entry)
    if (entry->active && value_at(json::value(entry->doc.root), steps))
      return entry->doc.where(canonical);
  return {};
}

std::vector<explanation> configuration::explain(std::string_view key) const {
  const auto steps = split_key(key);
  const auto canonical = join_all(steps);
  std::vector<explanation> result, ignored;
  for (auto entry = layers_.rbegin(); entry != layers_.rend(); ++entry) {
    const json::value shown_root = redact(json::value(entry->doc.root));
    const auto* found = value_at(shown_root, steps);
    if (!found) continue;
    explanation line{entry->name, entry->doc.where(canonical), *found, false, !entry->active};
    if (entry->active) {
      line.effective = result.empty();
      result.push_back(std::move(line));
    } else if (result.empty() || result.back().value != line.value ||
               result.back().layer != line.layer) {
      ignored.push_back(std::move(line));
    }
  }
  std::move(ignored.begin(), ignored.end(), std::back_inserter(result));
  return result;
}

json::value configuration::shown(std::string_view key) const {
  const json::value all = redact(json::value(value_));
  if (key.empty()) return all;
  const auto* found = value_at(all, split_key(key));
  return found ? *found : json::value();
}

std::vector<problem> configuration::validate_plugin_section(std::string_view name,
                                                            const json::value& schema) {
  const std::string base = join("plugin", name);
  for (auto& entry : layers_) {
    for (const auto& [key, raw] : entry.raw) {
      const auto steps = split_key(key);
      if (steps.size() < 3 || steps[0].name != "plugin" || steps[1].name != name ||
          std::find(std::begin(program_keys_of_plugin), std::end(program_keys_of_plugin),
                    steps[2].name) != std::end(program_keys_of_plugin))
        continue;
      const json::value* inner = &schema;
      auto* table = &entry.doc.root;
      json::value* target = nullptr;
      for (std::size_t i = 0; i < steps.size() && table; ++i) {
        target = table->if_contains(steps[i].name);
        table = target ? target->if_object() : nullptr;
        if (i >= 2) inner = member_schema(schema, inner, steps[i].name);
      }
      if (target) adapt(*target, raw, schema, inner);
    }
  }
  rebuild();

  json::object section;
  if (const auto* found = object_or_empty(value_, "plugin").if_contains(name))
    if (const auto* table = found->if_object()) section = *table;
  for (const auto key : program_keys_of_plugin) section.erase(key);

  const std::size_t before = problems_.size();
  const auto add = [&](severity level, const std::string& key, std::string message) {
    if (problems_.size() - before < problems_max) report(level, key, std::move(message));
  };
  std::vector<std::string> keys;
  for (auto& finding : check(section, schema, base, true)) {
    keys.push_back(finding.key);
    add(finding.level, finding.key, std::move(finding.message));
  }
  try {
    // What the walk above does not know: patterns, alternatives, conditions.
    const auto compiled =
        json_schema::parse(schema, "the configuration schema of plugin " + std::string(name));
    for (const auto& error : compiled.validate(section)) {
      const auto key = key_of_pointer(section, error.pointer, base);
      const bool told = std::any_of(keys.begin(), keys.end(), [&](const std::string& other) {
        return other == key || parent_key(other) == key;
      });
      if (!told) add(severity::error, key, error.message);
    }
  } catch (const failure& error) {
    problems_.push_back(
        {severity::warning, {}, base, std::string("cannot be checked in full: ") + error.what()});
  }
  build_view();
  return {problems_.begin() + static_cast<std::ptrdiff_t>(before), problems_.end()};
}

std::vector<problem> configuration::check_secrets() const {
  std::vector<problem> found;
  for (const auto& provider : view_.providers) {
    if (provider.api_key.empty()) continue;
    const auto key = join(join("providers", provider.name), "api_key");
    auto missing = missing_secret(provider.api_key, around_);
    if (!missing.empty()) found.push_back({severity::error, where(key), key, std::move(missing)});
  }
  return found;
}
}  // namespace rustic::config
