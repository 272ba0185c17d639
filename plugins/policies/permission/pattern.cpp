#include "pattern.hpp"

#include <filesystem>
#include <system_error>

namespace rustic::permission {
namespace {

// One pass with one point to go back to.
bool match(std::string_view pattern, std::string_view text, bool within_part) {
  std::size_t p = 0, t = 0;
  std::size_t star = std::string_view::npos, star_text = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_text = t;
      continue;
    }
    bool same = false;
    std::size_t step = 1;
    if (p < pattern.size()) {
      if (pattern[p] == '?') {
        same = !within_part || text[t] != '/';
      } else if (pattern[p] == '\\' && p + 1 < pattern.size()) {
        same = pattern[p + 1] == text[t];
        step = 2;
      } else {
        same = pattern[p] == text[t];
      }
    }
    if (same) {
      p += step;
      ++t;
    } else if (star != std::string_view::npos && !(within_part && text[star_text] == '/')) {
      p = star + 1;
      t = ++star_text;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

std::vector<std::string_view> parts_of(std::string_view path) {
  std::vector<std::string_view> parts;
  while (!path.empty()) {
    const std::size_t slash = path.find('/');
    if (slash != 0) parts.push_back(path.substr(0, slash));
    if (slash == std::string_view::npos) break;
    path.remove_prefix(slash + 1);
  }
  return parts;
}

}  // namespace

bool matches_glob(std::string_view pattern, std::string_view text) {
  return match(pattern, text, false);
}

bool matches_path(std::string_view pattern, std::string_view path) {
  const std::vector<std::string_view> want = parts_of(pattern);
  const std::vector<std::string_view> have = parts_of(path);
  std::size_t w = 0, h = 0;
  std::size_t star = std::string_view::npos, star_have = 0;
  while (h < have.size()) {
    if (w < want.size() && want[w] == "**") {
      star = w++;
      star_have = h;
    } else if (w < want.size() && match(want[w], have[h], true)) {
      ++w;
      ++h;
    } else if (star != std::string_view::npos) {
      w = star + 1;
      h = ++star_have;
    } else {
      return false;
    }
  }
  while (w < want.size() && want[w] == "**") ++w;
  return w == want.size();
}

std::optional<std::string> normal_path(std::string_view path, std::string_view workspace) {
  if (path.empty() || path.find('\0') != std::string_view::npos) return std::nullopt;
  std::filesystem::path whole(path);
  if (whole.is_relative()) {
    if (workspace.empty() || workspace.front() != '/') return std::nullopt;
    whole = std::filesystem::path(workspace) / whole;
  }
  std::string normal = whole.lexically_normal().string();
  while (normal.size() > 1 && normal.back() == '/') normal.pop_back();
  // "//x" is kept apart by the library; here it is "/x".
  while (normal.starts_with("//")) normal.erase(0, 1);
  return normal;
}

std::vector<std::string> names_of_path(std::string_view path, std::string_view workspace) {
  std::vector<std::string> names;
  std::optional<std::string> normal = normal_path(path, workspace);
  if (!normal) return names;
  std::filesystem::path written(path);
  if (written.is_relative()) written = std::filesystem::path(workspace) / written;
  std::error_code problem;
  // As written and not as normalised: "link/.." leads to the parent of the link's target.
  const std::filesystem::path real = std::filesystem::weakly_canonical(written, problem);
  if (problem) return names;
  std::string real_text = real.string();
  while (real_text.size() > 1 && real_text.back() == '/') real_text.pop_back();
  names.push_back(std::move(*normal));
  if (real_text != names.front()) names.push_back(std::move(real_text));
  return names;
}

std::string path_expression(std::string_view pattern) {
  const bool by_name = pattern.find('/') == std::string_view::npos;
  std::string out = by_name ? "(?:^|/)" : "^";
  auto literal = [&](char c) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
        (byte >= 'a' && byte <= 'z')) {
      out.push_back(c);
    } else {
      static constexpr char digits[] = "0123456789abcdef";
      out += "\\x";
      out.push_back(digits[byte >> 4]);
      out.push_back(digits[byte & 15]);
    }
  };
  for (const std::string_view part : parts_of(pattern)) {
    if (!by_name && part == "**") {
      out += "(?:/[^/]+)*";
      continue;
    }
    if (!by_name) out += "/";
    for (std::size_t i = 0; i < part.size(); ++i) {
      if (part[i] == '*')
        out += "[^/]*";
      else if (part[i] == '?')
        out += "[^/]";
      else
        literal(part[i] == '\\' && i + 1 < part.size() ? part[++i] : part[i]);
    }
  }
  return out + "(?:/|$)";
}

bool inside(std::string_view path, std::string_view directory) {
  if (directory == "/") return path.starts_with('/');
  return path == directory || (path.size() > directory.size() && path.starts_with(directory) &&
                               path[directory.size()] == '/');
}

}  // namespace rustic::permission
