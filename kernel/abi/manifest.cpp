#include "kernel/abi/manifest.hpp"

#include <rustic/abi.h>

#include <boost/json.hpp>
#include <charconv>
#include <stdexcept>

#include "kernel/abi/limits.hpp"

namespace rustic::kernel::abi {
namespace {
namespace json = boost::json;

[[noreturn]] void refuse(const std::string& text) {
  throw std::runtime_error("manifest: " + text);
}

std::string text_of(const json::object& object, std::string_view key, bool required = false) {
  const auto* value = object.if_contains(key);
  if (value && value->is_string()) return std::string(value->get_string());
  if (value && !value->is_null()) refuse("\"" + std::string(key) + "\" must be a string");
  if (required) refuse("\"" + std::string(key) + "\" is missing");
  return {};
}

std::uint32_t number_of(const json::object& object, std::string_view key, std::uint32_t fallback) {
  const auto* value = object.if_contains(key);
  if (!value) return fallback;
  const auto* number = value->if_int64();
  if (!number || *number < 0 || *number > 0xFFFF)
    refuse("\"" + std::string(key) + "\" must be a small integer");
  return static_cast<std::uint32_t>(*number);
}

bool plain(std::string_view text, std::string_view also) {
  if (text.empty() || text.size() > 64) return false;
  for (const char c : text)
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
          also.find(c) != std::string_view::npos))
      return false;
  return true;
}

std::vector<std::string> texts_of(const json::object& object, std::string_view key) {
  std::vector<std::string> out;
  const auto* value = object.if_contains(key);
  if (!value || value->is_null()) return out;
  if (!value->is_array()) refuse("\"" + std::string(key) + "\" must be a list of strings");
  for (const auto& entry : value->get_array()) {
    if (!entry.is_string()) refuse("\"" + std::string(key) + "\" must be a list of strings");
    out.emplace_back(entry.get_string());
  }
  return out;
}

provided read_provided(const json::value& value) {
  if (!value.is_object()) refuse("\"provides\" must be a list of objects");
  const auto& object = value.get_object();
  provided out;
  out.interface = text_of(object, "interface", true);
  if (const auto slash = out.interface.find('/'); slash != std::string::npos) {
    const auto digits = out.interface.substr(slash + 1);
    const auto [end, problem] =
        std::from_chars(digits.data(), digits.data() + digits.size(), out.revision);
    if (problem != std::errc{} || end != digits.data() + digits.size())
      refuse("interface \"" + out.interface + "\" has no revision after the slash");
    out.interface.resize(slash);
  }
  out.name = text_of(object, "name", true);
  out.type = text_of(object, "type");
  out.instances = text_of(object, "instances");
  if (!plain(out.interface, "._-")) refuse("\"" + out.interface + "\" is not an interface");
  if (out.instances.empty() ? !plain(out.name, "._-") : out.name != "*")
    refuse("\"" + out.name + "\" is not a service's name");
  if (out.interface == "rustic.tool" && out.instances.empty() && !plain(out.name, "_-"))
    refuse("the tool name \"" + out.name + "\" must match ^[a-zA-Z0-9_-]{1,64}$");
  const auto* attributes = object.if_contains("attributes");
  if (attributes && !attributes->is_object()) refuse("\"attributes\" must be an object");
  out.attributes = attributes ? json::serialize(*attributes) : "{}";
  return out;
}

manifest read(std::string_view text) {
  json::error_code problem;
  unsigned char space[manifest_parse_bytes];
  json::monotonic_resource memory(space, sizeof space);
  const auto value = json::parse(json::string_view(text.data(), text.size()), problem, &memory);
  if (problem) refuse("not valid JSON: " + problem.message());
  if (!value.is_object()) refuse("not a JSON object");
  const auto& object = value.get_object();
  manifest out;
  out.id = text_of(object, "id", true);
  if (!plain(out.id, "._-")) refuse("\"" + out.id + "\" is not an id");
  out.version = text_of(object, "version", true);
  out.description = text_of(object, "description");
  out.license = text_of(object, "license");
  out.isolation = text_of(object, "isolation");
  const auto* abi = object.if_contains("abi");
  if (!abi || !abi->is_object()) refuse("\"abi\" is missing");
  out.abi_major = number_of(abi->get_object(), "major", 0);
  out.abi_min_minor = number_of(abi->get_object(), "min_minor", 0);
  const auto* provides = object.if_contains("provides");
  if (!provides || !provides->is_array()) refuse("\"provides\" must be a list");
  if (provides->get_array().size() > provides_max) refuse("\"provides\" is too long");
  for (const auto& entry : provides->get_array()) out.provides.push_back(read_provided(entry));
  out.requires_targets = texts_of(object, "requires");
  out.wants_targets = texts_of(object, "wants");
  out.permissions = texts_of(object, "permissions");
  if (const auto* variables = object.if_contains("environment")) {
    if (!variables->is_object()) refuse("\"environment\" must be an object");
    for (const auto& [name, member] : variables->get_object()) {
      if (!member.is_string()) refuse("\"environment\" maps names to configuration members");
      out.environment.push_back({std::string(name), std::string(member.get_string())});
    }
  }
  if (const auto* schema = object.if_contains("config"); schema && schema->is_object())
    out.config_schema = json::serialize(*schema);
  return out;
}
}  // namespace

manifest_result parse_manifest(std::string_view text) {
  manifest_result out;
  try {
    out.value = read(text);
  } catch (const std::exception& problem) {
    out.problem = problem.what();
  }
  return out;
}

std::string abi_problem(const manifest& plugin) {
  if (plugin.abi_major != RAI_ABI_MAJOR)
    return "it speaks contract version " + std::to_string(plugin.abi_major) + ", this program " +
           std::to_string(RAI_ABI_MAJOR);
  if (plugin.abi_min_minor > RAI_ABI_MINOR)
    return "it needs contract version " + std::to_string(plugin.abi_major) + "." +
           std::to_string(plugin.abi_min_minor) + ", this program has " +
           std::to_string(RAI_ABI_MAJOR) + "." + std::to_string(RAI_ABI_MINOR);
  return {};
}
}  // namespace rustic::kernel::abi
