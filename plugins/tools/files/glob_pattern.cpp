// Wildcards with two levels of backtracking: the last "*" and the last "**".
#include "glob_pattern.hpp"

#include <algorithm>
#include <cctype>

#include "limits.hpp"

namespace rustic::files {
namespace {

constexpr std::size_t none = std::string_view::npos;

bool in_named_class(std::string_view name, unsigned char c) {
  if (name == "alpha") return std::isalpha(c);
  if (name == "digit") return std::isdigit(c);
  if (name == "alnum") return std::isalnum(c);
  if (name == "upper") return std::isupper(c);
  if (name == "lower") return std::islower(c);
  if (name == "space") return std::isspace(c);
  if (name == "blank") return c == ' ' || c == '\t';
  if (name == "punct") return std::ispunct(c);
  if (name == "xdigit") return std::isxdigit(c);
  if (name == "cntrl") return std::iscntrl(c);
  if (name == "graph") return std::isgraph(c);
  if (name == "print") return std::isprint(c);
  return false;
}

// The size of the UTF-8 character at `at`; 1 for anything broken.
std::size_t character_size(std::string_view text, std::size_t at) {
  const auto first = static_cast<unsigned char>(text[at]);
  const std::size_t size = first < 0xC0 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  return std::min(size, text.size() - at);
}

// Matches one character against the set that starts with '[' at `at`. `end` becomes the offset
// after the set, or npos when the set is not closed.
bool match_set(std::string_view pattern, std::size_t at, std::string_view character,
               std::size_t& end) {
  std::size_t i = at + 1;
  const bool negated = i < pattern.size() && (pattern[i] == '!' || pattern[i] == '^');
  if (negated) ++i;
  bool matched = false;
  bool first = true;
  while (i < pattern.size() && (pattern[i] != ']' || first)) {
    first = false;
    if (pattern.substr(i, 2) == "[:") {
      const std::size_t close = pattern.find(":]", i + 2);
      if (close != none) {
        const std::string_view name = pattern.substr(i + 2, close - i - 2);
        if (character.size() == 1 &&
            in_named_class(name, static_cast<unsigned char>(character[0]))) {
          matched = true;
        }
        i = close + 2;
        continue;
      }
    }
    if (pattern[i] == '\\' && i + 1 < pattern.size()) ++i;
    const std::string_view low = pattern.substr(i, character_size(pattern, i));
    i += low.size();
    std::string_view high = low;
    if (i + 1 < pattern.size() && pattern[i] == '-' && pattern[i + 1] != ']') {
      ++i;
      if (pattern[i] == '\\' && i + 1 < pattern.size()) ++i;
      high = pattern.substr(i, character_size(pattern, i));
      i += high.size();
    }
    // UTF-8 sorts as its code points do, so that bytes can be compared.
    if (low <= character && character <= high) matched = true;
  }
  if (i >= pattern.size()) {
    end = none;
    return false;
  }
  end = i + 1;
  return matched != negated;
}

bool is_double_star(std::string_view pattern, std::size_t at) {
  return pattern.substr(at, 2) == "**" && (at == 0 || pattern[at - 1] == '/') &&
         (at + 2 == pattern.size() || pattern[at + 2] == '/');
}

// Expands the first {a,b} of each text until none is left.
result<std::vector<std::string>> expand_braces(std::string_view pattern) {
  std::vector<std::string> open = {std::string(pattern)};
  std::vector<std::string> out;
  while (!open.empty()) {
    if (open.size() + out.size() > glob_braces_max) {
      return failure{reason::invalid, "the braces of the pattern stand for more than " +
                                          std::to_string(glob_braces_max) + " patterns"};
    }
    const std::string text = std::move(open.back());
    open.pop_back();
    std::size_t begin = none;
    int depth = 0;
    std::vector<std::size_t> cuts;
    std::size_t close = none;
    for (std::size_t i = 0; i < text.size() && close == none; ++i) {
      if (text[i] == '\\') {
        ++i;
      } else if (text[i] == '{') {
        if (depth++ == 0) {
          begin = i;
          cuts = {i};
        }
      } else if (text[i] == ',' && depth == 1) {
        cuts.push_back(i);
      } else if (text[i] == '}' && depth > 0 && --depth == 0) {
        close = i;
        cuts.push_back(i);
      }
    }
    if (begin != none && close == none) {
      return failure{reason::invalid,
                     "the pattern '" + std::string(pattern) +
                         "' has a '{' without its '}'; write \\{ for the character"};
    }
    if (close == none) {
      out.push_back(text);
      continue;
    }
    for (std::size_t i = cuts.size() - 1; i > 0; --i) {
      open.push_back(text.substr(0, begin) +
                     text.substr(cuts[i - 1] + 1, cuts[i] - cuts[i - 1] - 1) +
                     text.substr(close + 1));
    }
  }
  return out;
}

}  // namespace

bool wildcard_match(std::string_view pattern, std::string_view path) {
  std::size_t p = 0;
  std::size_t t = 0;
  std::size_t star_p = none;  // after the last "*", and where its match ends
  std::size_t star_t = 0;
  std::size_t deep_p = none;  // after the last "**/", and where its match ends
  std::size_t deep_t = 0;
  while (true) {
    bool matched = false;
    if (p == pattern.size()) {
      if (t == path.size()) return true;
    } else if (is_double_star(pattern, p)) {
      if (p + 2 == pattern.size()) return t < path.size() || p == 0;  // "a/**" needs something in a
      p += 3;
      deep_p = p;
      deep_t = t;
      star_p = none;
      continue;
    } else if (pattern[p] == '*') {
      while (p < pattern.size() && pattern[p] == '*') ++p;
      star_p = p;
      star_t = t;
      continue;
    } else if (t < path.size()) {
      const std::size_t size = character_size(path, t);
      std::size_t end = none;
      if (pattern[p] == '?' && path[t] != '/') {
        ++p;
        t += size;
        matched = true;
      } else if (pattern[p] == '[') {
        const bool in_set = match_set(pattern, p, path.substr(t, size), end);
        if (end != none && in_set && path[t] != '/') {
          p = end;
          t += size;
          matched = true;
        }
      } else {
        const std::size_t literal = pattern[p] == '\\' && p + 1 < pattern.size() ? p + 1 : p;
        if (pattern[p] != '?' && pattern[literal] == path[t]) {
          p = literal + 1;
          ++t;
          matched = true;
        }
      }
    }
    if (matched) continue;
    if (star_p != none && star_t < path.size() && path[star_t] != '/') {
      star_t += character_size(path, star_t);
      p = star_p;
      t = star_t;
      continue;
    }
    if (deep_p == none) return false;
    const std::size_t slash = path.find('/', deep_t);
    if (slash == none) return false;
    deep_t = slash + 1;
    p = deep_p;
    t = deep_t;
    star_p = none;
  }
}

bool has_wildcard(std::string_view pattern) {
  return pattern.find_first_of("*?[\\{") != none;
}

result<glob_pattern> glob_pattern::parse(std::string_view pattern, bool rooted) {
  if (pattern.empty()) return failure{reason::invalid, "the pattern is empty; '**' matches all"};
  if (pattern.size() > glob_bytes_max) {
    return failure{reason::invalid,
                   "the pattern is longer than " + std::to_string(glob_bytes_max) + " bytes"};
  }
  while (pattern.substr(0, 2) == "./") pattern.remove_prefix(2);
  auto expanded = expand_braces(pattern);
  if (!expanded) return expanded.error();
  glob_pattern out;
  out.anywhere_ =
      !rooted && std::all_of(expanded->begin(), expanded->end(),
                             [](const std::string& each) { return each.find('/') == each.npos; });
  out.alternatives_ = std::move(*expanded);
  return out;
}

bool glob_pattern::matches(std::string_view path) const {
  const std::string_view name = path.substr(path.rfind('/') + 1);
  return std::any_of(alternatives_.begin(), alternatives_.end(), [&](const std::string& each) {
    return wildcard_match(each, anywhere_ && each != "**" ? name : path);
  });
}

}  // namespace rustic::files
