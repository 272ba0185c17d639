#include "grants.hpp"

#include <algorithm>

#include "limits.hpp"

namespace rustic::permission {
namespace {

std::string quoted_word(std::string_view word) {
  const bool simple = !word.empty() && word.find_first_not_of(
                                           "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                           "0123456789_-./=:,+@%") == std::string_view::npos;
  if (simple) return std::string(word);
  std::string out = "'";
  for (char c : word) {
    if (c == '\'')
      out += "'\\''";
    else
      out.push_back(c);
  }
  return out + "'";
}

bool read_grant(const json::value& value, grant& out) {
  const json::object* object = value.if_object();
  if (object == nullptr) return false;
  out.tool = text_or(*object, "tool");
  if (out.tool.empty()) return false;
  if (const json::value* words = find(*object, "argv")) {
    const json::array* list = words->if_array();
    if (list == nullptr || list->empty()) return false;
    for (const json::value& word : *list) {
      if (!word.is_string()) return false;
      out.argv.emplace_back(word.get_string());
    }
    const json::value* exact = find(*object, "exact");
    if (exact == nullptr || !exact->is_bool()) return false;
    out.exact = exact->get_bool();
  }
  if (const json::value* directory = find(*object, "directory")) {
    if (!directory->is_string() || directory->get_string().empty() || !out.argv.empty())
      return false;
    out.directory = directory->get_string();
    if (out.directory.front() != '/') return false;
  }
  // A member that this version does not know may narrow the permission.
  for (const auto& [key, ignored] : *object)
    if (key != "tool" && key != "argv" && key != "exact" && key != "directory" &&
        key != "granted_at_ms" && key != "session" && key != "asked")
      return false;
  out.granted_at_ms = int_or(*object, "granted_at_ms");
  out.session = text_or(*object, "session");
  out.asked = text_or(*object, "asked");
  return true;
}

}  // namespace

bool grant::same_permission(const grant& other) const {
  return tool == other.tool && argv == other.argv && exact == other.exact &&
         directory == other.directory;
}

std::string grant::describe() const {
  if (!argv.empty()) {
    std::string text = tool + ": `";
    for (std::size_t i = 0; i < argv.size(); ++i) {
      if (i != 0) text.push_back(' ');
      text += quoted_word(argv[i]);
    }
    return text + (exact ? "` exactly" : "` with any further arguments");
  }
  if (!directory.empty()) return tool + " in " + directory + " and below";
  return tool + " with any arguments";
}

json::value to_json(const std::vector<grant>& grants) {
  json::array list;
  for (const grant& one : grants) {
    json::object object;
    object["tool"] = one.tool;
    if (!one.argv.empty()) {
      object["argv"] = json::array(one.argv.begin(), one.argv.end());
      object["exact"] = one.exact;
    }
    if (!one.directory.empty()) object["directory"] = one.directory;
    object["granted_at_ms"] = one.granted_at_ms;
    object["session"] = one.session;
    object["asked"] = one.asked;
    list.push_back(std::move(object));
  }
  return json::object{{"version", 1}, {"grants", std::move(list)}};
}

std::vector<grant> read_grants(const json::value& value, std::size_t* unreadable) {
  std::vector<grant> out;
  std::size_t bad = 0;
  const json::object* object = value.if_object();
  const json::value* list = object ? find(*object, "grants") : nullptr;
  if (object == nullptr || int_or(*object, "version") != 1 || list == nullptr ||
      !list->is_array()) {
    bad = 1;
  } else {
    for (const json::value& entry : list->get_array()) {
      grant one;
      if (out.size() < max_grants_per_scope && read_grant(entry, one))
        out.push_back(std::move(one));
      else
        ++bad;
    }
  }
  if (unreadable != nullptr) *unreadable = bad;
  return out;
}

void merge_grants(std::vector<grant>& into, const std::vector<grant>& added) {
  for (const grant& one : added) {
    const bool there = std::any_of(into.begin(), into.end(),
                                   [&](const grant& old) { return old.same_permission(one); });
    if (!there) into.push_back(one);
  }
  if (into.size() > max_grants_per_scope)
    into.erase(into.begin(),
               into.begin() + static_cast<std::ptrdiff_t>(into.size() - max_grants_per_scope));
}

session_grants::entry& session_grants::at(std::string_view session) {
  auto found = sessions_.find(session);
  if (found == sessions_.end()) {
    if (sessions_.size() >= max_sessions) {
      auto oldest = std::min_element(
          sessions_.begin(), sessions_.end(),
          [](const auto& a, const auto& b) { return a.second.used < b.second.used; });
      sessions_.erase(oldest);
    }
    found = sessions_.emplace(std::string(session), entry{}).first;
  }
  found->second.used = ++clock_;
  return found->second;
}

const std::vector<grant>* session_grants::find(std::string_view session) {
  auto found = sessions_.find(session);
  if (found == sessions_.end() || !found->second.loaded) return nullptr;
  found->second.used = ++clock_;
  return &found->second.grants;
}

void session_grants::loaded(std::string_view session, const std::vector<grant>& stored) {
  entry& one = at(session);
  std::vector<grant> all = stored;
  merge_grants(all, one.grants);
  one.grants = std::move(all);
  one.loaded = true;
}

std::vector<grant> session_grants::unstored(std::string_view session) const {
  auto found = sessions_.find(session);
  return found == sessions_.end() ? std::vector<grant>{} : found->second.grants;
}

void session_grants::add(std::string_view session, const std::vector<grant>& added) {
  merge_grants(at(session).grants, added);
}

}  // namespace rustic::permission
