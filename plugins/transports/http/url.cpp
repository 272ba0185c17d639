#include "url.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <vector>

#include "limits.hpp"

namespace rustic::http {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return out;
}

int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string percent_decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && hex_value(text[i + 1]) >= 0 &&
        hex_value(text[i + 2]) >= 0) {
      out += static_cast<char>(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

// Control characters are refused, because they could end the request line; what lies outside
// ASCII is percent-encoded as its UTF-8 bytes.
bool clean_target(std::string_view text, url_strictness strictness, std::string& out,
                  std::string& problem) {
  static constexpr char digits[] = "0123456789ABCDEF";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      problem = "it holds a control character";
      return false;
    }
    if (byte == ' ' && strictness == url_strictness::exact) {
      problem = "it holds a space: write %20";
      return false;
    }
    if (byte == ' ' || byte >= 0x80 || byte == '"' || byte == '<' || byte == '>') {
      out += '%';
      out += digits[byte >> 4];
      out += digits[byte & 15];
    } else {
      out += c;
    }
  }
  return true;
}

bool parse_port(std::string_view text, std::uint16_t& port, std::string& problem) {
  unsigned value = 0;
  if (text.empty() || text.size() > 5 || !std::all_of(text.begin(), text.end(), is_digit)) {
    problem = "its port is not a number from 1 to 65535";
    return false;
  }
  for (const char c : text) value = value * 10 + static_cast<unsigned>(c - '0');
  if (value == 0 || value > 65535) {
    problem = "its port is not a number from 1 to 65535";
    return false;
  }
  port = static_cast<std::uint16_t>(value);
  return true;
}

bool parse_host(std::string_view text, std::string& host, std::string& problem) {
  if (text.empty()) {
    problem = "it names no host";
    return false;
  }
  if (text.size() > 255) {
    problem = "its host name is longer than 255 characters";
    return false;
  }
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80) {
      problem = "its host name is not ASCII: write it as xn--...";
      return false;
    }
    const bool ok = is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
                    c == '.' || c == '_';
    if (!ok) {
      problem = "its host name holds a character that no host name has";
      return false;
    }
  }
  host = lower(text);
  return true;
}

bool parse_authority(std::string_view text, url& out, std::string& problem) {
  if (const auto at = text.rfind('@'); at != std::string_view::npos) {
    out.userinfo = percent_decoded(text.substr(0, at));
    text.remove_prefix(at + 1);
  }
  out.port = out.scheme == "https" ? 443 : 80;
  std::string_view port;
  if (!text.empty() && text.front() == '[') {
    const auto close = text.find(']');
    in6_addr address;
    if (close == std::string_view::npos ||
        inet_pton(AF_INET6, std::string(text.substr(1, close - 1)).c_str(), &address) != 1) {
      problem = "its IPv6 address is malformed";
      return false;
    }
    char shortest[INET6_ADDRSTRLEN];
    inet_ntop(AF_INET6, &address, shortest, sizeof shortest);
    out.host = shortest;
    port = text.substr(close + 1);
    if (!port.empty() && port.front() != ':') {
      problem = "something follows its IPv6 address";
      return false;
    }
  } else {
    const auto colon = text.find(':');
    if (!parse_host(text.substr(0, colon), out.host, problem)) return false;
    port = colon == std::string_view::npos ? std::string_view() : text.substr(colon);
  }
  // "host:" with nothing after it means the scheme's port.
  return port.size() <= 1 || parse_port(port.substr(1), out.port, problem);
}

// The scheme of "scheme:...", in lower case; empty when the text is relative.
std::string scheme_of(std::string_view text) {
  const auto colon = text.find(':');
  if (colon == std::string_view::npos || colon == 0) return {};
  for (std::size_t i = 0; i < colon; ++i) {
    const char c = text[i];
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (!letter && (i == 0 || !(is_digit(c) || c == '+' || c == '-' || c == '.'))) return {};
  }
  return lower(text.substr(0, colon));
}

std::string_view without_fragment(std::string_view text) {
  return text.substr(0, std::min(text.find('#'), text.size()));
}

// RFC 3986, 5.2.4, for a path that starts with '/'.
std::string without_dot_segments(std::string_view path) {
  std::vector<std::string_view> kept;
  bool directory = false;
  std::size_t at = 1;
  for (;;) {
    const auto end = std::min(path.find('/', at), path.size());
    const auto segment = path.substr(at, end - at);
    directory = segment == "." || segment == "..";
    if (segment == "..") {
      if (!kept.empty()) kept.pop_back();
    } else if (segment != ".") {
      kept.push_back(segment);
    }
    if (end == path.size()) break;
    at = end + 1;
  }
  std::string out;
  for (const auto segment : kept) out.append("/").append(segment);
  if (out.empty() || directory) out += '/';
  return out;
}

}  // namespace

std::string url::host_port() const {
  const bool bracket = host.find(':') != std::string::npos;
  return (bracket ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

std::string url::authority() const {
  std::string full = host_port();
  if (port == (secure() ? 443 : 80)) full.resize(full.rfind(':'));
  return full;
}

bool parse_url(std::string_view text, url_strictness strictness, url& out, std::string& problem) {
  out = url();
  if (text.size() > limits::url_bytes_max) {
    problem = "it is longer than " + std::to_string(limits::url_bytes_max) + " bytes";
    return false;
  }
  out.scheme = scheme_of(text);
  if (out.scheme != "http" && out.scheme != "https") {
    problem = "it must begin with http:// or https://";
    return false;
  }
  text.remove_prefix(out.scheme.size() + 1);
  if (text.substr(0, 2) != "//") {
    problem = "it must begin with http:// or https://";
    return false;
  }
  text = without_fragment(text.substr(2));
  const auto end = std::min(text.find_first_of("/?"), text.size());
  if (!parse_authority(text.substr(0, end), out, problem)) return false;
  if (end == text.size() || text[end] == '?') out.target = "/";
  return clean_target(text.substr(end), strictness, out.target, problem);
}

bool resolve_location(const url& base, std::string_view location, url& out, std::string& problem) {
  while (!location.empty() && location.back() == ' ') location.remove_suffix(1);
  bool ok = false;
  if (!scheme_of(location).empty()) {
    ok = parse_url(location, url_strictness::lenient, out, problem);
  } else if (location.substr(0, 2) == "//") {
    ok =
        parse_url(base.scheme + ":" + std::string(location), url_strictness::lenient, out, problem);
  } else {
    const std::string_view base_path =
        std::string_view(base.target)
            .substr(0, std::min(base.target.find('?'), base.target.size()));
    location = without_fragment(location);
    std::string target;
    if (location.empty()) {
      target = base.target;
    } else if (location.front() == '?') {
      target = std::string(base_path).append(location);
    } else {
      const auto query = std::min(location.find('?'), location.size());
      std::string path(location.substr(0, query));
      if (path.empty() || path.front() != '/') {
        path = std::string(base_path.substr(0, base_path.rfind('/') + 1)) + path;
      }
      target = without_dot_segments(path).append(location.substr(query));
    }
    out = base;
    out.target.clear();
    ok = target.size() <= limits::url_bytes_max &&
         clean_target(target, url_strictness::lenient, out.target, problem);
    if (target.size() > limits::url_bytes_max) problem = "it is too long";
  }
  out.userinfo.clear();  // a server must not make us log in with what it names
  return ok;
}

bool parse_proxy(std::string_view text, url& out, std::string& problem) {
  const auto separator = text.find("://");
  const std::string full =
      separator == std::string_view::npos ? "http://" + std::string(text) : std::string(text);
  if (full.compare(0, 7, "http://") != 0) {
    problem = "only http:// proxies are supported";
    return false;
  }
  return parse_url(full, url_strictness::exact, out, problem);
}

bool is_ip_address(const std::string& host) {
  unsigned char address[16];
  return inet_pton(AF_INET, host.c_str(), address) == 1 ||
         inet_pton(AF_INET6, host.c_str(), address) == 1;
}

bool is_loopback(const std::string& host) {
  static constexpr std::string_view suffix = ".localhost";
  if (host == "localhost" || host == "::1") return true;
  if (host.size() > suffix.size() &&
      host.compare(host.size() - suffix.size(), suffix.size(), suffix) == 0) {
    return true;
  }
  in_addr address;
  return inet_pton(AF_INET, host.c_str(), &address) == 1 && (ntohl(address.s_addr) >> 24) == 127;
}

}  // namespace rustic::http
