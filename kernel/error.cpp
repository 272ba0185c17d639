#include "kernel/error.hpp"

#include <algorithm>
#include <vector>

#include "kernel/limits.hpp"

namespace rustic::kernel {
namespace {

void append_json(std::string& out, std::string_view text) {
  static constexpr char hex[] = "0123456789abcdef";
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (byte < 0x20) {
      out += "\\u00";
      out += hex[byte >> 4];
      out += hex[byte & 15];
    } else {
      out += c;
    }
  }
  out += '"';
}

}  // namespace

std::string error_body(std::string_view message, std::string_view hint, std::string_view details) {
  std::string body = "{\"message\":";
  append_json(body, message);
  if (!hint.empty()) {
    body += ",\"hint\":";
    append_json(body, hint);
  }
  if (!details.empty()) {
    body += ",\"details\":";
    body += details;
  }
  body += '}';
  return body;
}

bool valid_pattern(std::string_view pattern) noexcept {
  if (pattern.empty() || pattern.size() > max_target_bytes) return false;
  const auto star = pattern.find('*');
  if (star == std::string_view::npos || pattern == "*") return true;
  if (star + 1 != pattern.size() || star < 2) return false;
  return pattern[star - 1] == '/' || pattern[star - 1] == '.';
}

std::size_t edit_distance(std::string_view a, std::string_view b, std::size_t limit) {
  const auto longer = std::max(a.size(), b.size());
  const auto shorter = std::min(a.size(), b.size());
  if (longer - shorter >= limit || longer > max_target_bytes) return limit;
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    std::size_t best = row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replace = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replace, row[j] + 1, row[j - 1] + 1});
      best = std::min(best, row[j]);
    }
    if (best >= limit) return limit;
  }
  return std::min(row[b.size()], limit);
}

}  // namespace rustic::kernel
