// Reading and writing dotted keys.
#include "host/runtime/config/key_path.hpp"

#include <rustic/status.hpp>

#include "host/runtime/config/limits.hpp"

namespace rustic::config {
namespace {
bool is_bare(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-';
}

[[noreturn]] void refuse(std::string_view text, std::string_view reason) {
  throw failure(
      status_code::invalid_argument,
      "key \"" + std::string(cut_utf8(text, shown_bytes_max)) + "\": " + std::string(reason),
      "write names joined by dots, such as providers.local.model");
}
}  // namespace

std::string join(std::string_view base, std::string_view key) {
  std::string text(base);
  if (!text.empty()) text += '.';
  bool bare = !key.empty();
  for (const char c : key) bare = bare && is_bare(c);
  if (bare) return text += key;
  text += '"';
  for (const char c : key) {
    if (c == '"' || c == '\\') text += '\\';
    if (c == '\n')
      text += "\\n";
    else
      text += c;
  }
  return text += '"';
}

std::string join(std::string_view base, std::size_t index) {
  return std::string(base) + '[' + std::to_string(index) + ']';
}

std::vector<key_step> split_key(std::string_view text) {
  if (text.empty()) refuse(text, "is empty");
  if (text.size() > key_bytes_max) refuse(text, "is too long");
  std::vector<key_step> steps;
  std::size_t i = 0;
  while (true) {
    key_step step;
    if (i < text.size() && (text[i] == '"' || text[i] == '\'')) {
      const char quote = text[i++];
      for (; i < text.size() && text[i] != quote; ++i) {
        if (quote == '"' && text[i] == '\\' && i + 1 < text.size()) {
          ++i;
          step.name += text[i] == 'n' ? '\n' : text[i];
        } else {
          step.name += text[i];
        }
      }
      if (i++ >= text.size()) refuse(text, "lacks a closing quote");
    } else {
      while (i < text.size() && is_bare(text[i])) step.name += text[i++];
      if (step.name.empty()) refuse(text, "has an empty or unusual name; put it in quotes");
    }
    steps.push_back(std::move(step));
    while (i < text.size() && text[i] == '[') {
      std::size_t index = 0, digits = 0;
      for (++i; i < text.size() && text[i] >= '0' && text[i] <= '9' && digits < 6; ++i, ++digits)
        index = index * 10 + static_cast<std::size_t>(text[i] - '0');
      if (digits == 0 || i >= text.size() || text[i] != ']') refuse(text, "has a broken index");
      ++i;
      steps.push_back({{}, index});
    }
    if (steps.size() > depth_max) refuse(text, "nests too deeply");
    if (i >= text.size()) return steps;
    if (text[i++] != '.') refuse(text, "has an unusual character; put the name in quotes");
  }
}

std::string join_all(const std::vector<key_step>& steps) {
  std::string text;
  for (const auto& step : steps)
    text = step.index ? join(text, *step.index) : join(text, step.name);
  return text;
}

const json::value* value_at(const json::value& root, const std::vector<key_step>& steps) {
  const json::value* node = &root;
  for (const auto& step : steps) {
    if (step.index) {
      const auto* list = node->if_array();
      if (!list || *step.index >= list->size()) return nullptr;
      node = &(*list)[*step.index];
    } else {
      const auto* table = node->if_object();
      node = table ? table->if_contains(step.name) : nullptr;
      if (!node) return nullptr;
    }
  }
  return node;
}

std::string_view parent_key(std::string_view key) {
  if (key.empty()) return {};
  if (key.back() == ']') return key.substr(0, key.rfind('['));
  if (key.back() == '"') {
    std::size_t i = key.size() - 1;
    while (i > 0) {
      --i;
      std::size_t slashes = 0;
      while (slashes < i && key[i - 1 - slashes] == '\\') ++slashes;
      if (key[i] == '"' && slashes % 2 == 0) break;
    }
    return i == 0 ? std::string_view{} : key.substr(0, i - 1);
  }
  const auto dot = key.rfind('.');
  return dot == std::string_view::npos ? std::string_view{} : key.substr(0, dot);
}
}  // namespace rustic::config
