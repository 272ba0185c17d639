// What counts as a secret.
#include "host/runtime/config/redact.hpp"

#include <algorithm>
#include <cctype>
#include <vector>

namespace rustic::config {
namespace {
std::vector<std::string> words_of(std::string_view name) {
  std::vector<std::string> words(1);
  for (std::size_t i = 0; i < name.size(); ++i) {
    const auto c = static_cast<unsigned char>(name[i]);
    const bool hump =
        std::isupper(c) && i > 0 && std::islower(static_cast<unsigned char>(name[i - 1]));
    if ((!std::isalnum(c) || hump) && !words.back().empty()) words.emplace_back();
    if (std::isalnum(c)) words.back() += static_cast<char>(std::tolower(c));
  }
  return words;
}

bool looks_like_key(std::string_view text) {
  if (text.size() < 16) return false;
  for (const char* prefix : {"sk-", "sk_", "xai-", "ghp_", "gho_", "github_pat_", "glpat-", "AIza",
                             "xoxb-", "xoxp-", "AKIA", "gsk_", "hf_", "Bearer ", "Basic "})
    if (text.starts_with(prefix)) return true;
  return false;
}

// "https://user:password@host" loses the password.
std::string without_url_password(std::string_view text) {
  const auto scheme = text.find("://");
  if (scheme == std::string_view::npos) return std::string(text);
  const auto begin = scheme + 3;
  const auto end = std::min(text.find_first_of("/?#", begin), text.size());
  const auto at = text.substr(0, end).rfind('@');
  if (at == std::string_view::npos || at < begin) return std::string(text);
  const auto colon = text.find(':', begin);
  if (colon == std::string_view::npos || colon > at) return std::string(text);
  return std::string(text.substr(0, colon + 1)) + std::string(redacted) +
         std::string(text.substr(at));
}

// "password=x" of connection strings, and "api_key=x" of URLs.
std::string without_parameters(std::string text) {
  for (std::size_t at = 0; (at = text.find('=', at)) != std::string::npos; ++at) {
    std::size_t begin = at;
    while (begin > 0 && (std::isalnum(static_cast<unsigned char>(text[begin - 1])) ||
                         text[begin - 1] == '_' || text[begin - 1] == '-'))
      --begin;
    const auto name = std::string_view(text).substr(begin, at - begin);
    if (!is_secret_name(name) && name != "key") continue;
    const auto end = std::min(text.find_first_of(" &;\"'", at + 1), text.size());
    text.replace(at + 1, end - at - 1, redacted);
  }
  return text;
}
}  // namespace

bool is_secret_name(std::string_view name) {
  const auto words = words_of(name);
  for (std::size_t i = 0; i < words.size(); ++i) {
    for (const char* word :
         {"token", "password", "passwd", "passphrase", "secret", "secrets", "authorization",
          "cookie", "credential", "credentials", "apikey", "pwd", "bearer", "apitoken"})
      if (words[i] == word) return true;
    if (words[i] == "key" && i > 0)
      for (const char* word : {"api", "private", "access", "subscription", "auth", "master",
                               "encryption", "signing", "account", "secret"})
        if (words[i - 1] == word) return true;
  }
  return false;
}

bool is_secret_reference(std::string_view text) {
  return text.starts_with("env:") || text.starts_with("file:") || text.starts_with("cmd:");
}

json::value redact(const json::value& value, std::string_view name) {
  if (const auto* table = value.if_object()) {
    json::object out;
    const bool headers = name == "headers";
    for (const auto& [key, member] : *table) {
      const auto words = words_of(key);
      const bool hidden =
          is_secret_name(key) ||
          (headers && (std::find(words.begin(), words.end(), "key") != words.end() ||
                       std::find(words.begin(), words.end(), "auth") != words.end()));
      out[key] = redact(member, hidden ? std::string_view("secret") : std::string_view(key));
    }
    return out;
  }
  if (const auto* list = value.if_array()) {
    json::array out;
    for (const auto& item : *list) out.push_back(redact(item, name));
    return out;
  }
  const auto* text = value.if_string();
  if (!text || text->empty()) return value;
  const std::string_view view = *text;
  if (view.starts_with("cmd:")) {
    const auto end = view.find_first_of(" \t\n", 4);
    if (end == std::string_view::npos) return value;
    return json::string(std::string(view.substr(0, end)) + " " + std::string(redacted));
  }
  if (is_secret_reference(view)) return value;
  if (is_secret_name(name) || looks_like_key(view)) return json::string(redacted);
  return json::string(without_parameters(without_url_password(view)));
}
}  // namespace rustic::config
