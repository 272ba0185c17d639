#include "proxy.hpp"

#include <arpa/inet.h>

#include <cstring>

namespace rustic::http {
namespace {

struct ip_bits {
  unsigned char bytes[16];
  int count = 0;  // bits; 0: not an address
};

ip_bits to_bits(const std::string& text) {
  ip_bits out{};
  if (inet_pton(AF_INET, text.c_str(), out.bytes) == 1) {
    out.count = 32;
  } else if (inet_pton(AF_INET6, text.c_str(), out.bytes) == 1) {
    out.count = 128;
  }
  return out;
}

bool in_network(const std::string& host, const std::string& network) {
  const auto slash = network.find('/');
  const ip_bits address = to_bits(host);
  const ip_bits base = to_bits(network.substr(0, slash));
  if (address.count == 0 || address.count != base.count) return false;
  int length = base.count;
  if (slash != std::string::npos) {
    const std::string digits = network.substr(slash + 1);
    if (digits.empty() || digits.size() > 3) return false;
    length = 0;
    for (const char c : digits) {
      if (c < '0' || c > '9') return false;
      length = length * 10 + (c - '0');
    }
    if (length > base.count) return false;
  }
  const int whole = length / 8;
  if (std::memcmp(address.bytes, base.bytes, static_cast<std::size_t>(whole)) != 0) return false;
  if (length % 8 == 0) return true;
  const int mask = 0xff << (8 - length % 8) & 0xff;
  return (address.bytes[whole] & mask) == (base.bytes[whole] & mask);
}

bool ends_with(const std::string& text, const std::string& suffix) {
  return text.size() >= suffix.size() &&
         text.compare(text.size() - suffix.size(), suffix.size(), suffix) == 0;
}

bool matches(const url& destination, std::string entry) {
  if (entry == "*") return true;
  if (entry.find('/') != std::string::npos || to_bits(entry).count != 0) {
    return in_network(destination.host, entry);
  }
  if (entry.front() == '[' && entry.back() == ']') {
    return in_network(destination.host, entry.substr(1, entry.size() - 2));
  }
  if (const auto colon = entry.rfind(':'); colon != std::string::npos) {
    if (entry.substr(colon + 1) != std::to_string(destination.port)) return false;
    entry.resize(colon);
    if (entry.size() > 2 && entry.front() == '[') entry = entry.substr(1, entry.size() - 2);
  }
  if (entry.compare(0, 2, "*.") == 0) entry.erase(0, 1);
  if (!entry.empty() && entry.front() == '.') entry.erase(0, 1);
  if (entry.empty()) return false;
  return destination.host == entry || ends_with(destination.host, "." + entry);
}

}  // namespace

proxy_table::proxy_table(proxy_settings settings) : settings_(std::move(settings)) {
  std::string entry;
  for (const char c : settings_.no_proxy + ",") {
    if (c == ',' || c == ' ' || c == '\t' || c == '\n') {
      if (!entry.empty()) direct_.push_back(std::move(entry));
      entry.clear();
    } else {
      entry += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    }
  }
}

bool proxy_table::bypassed(const url& destination) const {
  if (is_loopback(destination.host)) return true;
  for (const auto& entry : direct_) {
    if (matches(destination, entry)) return true;
  }
  return false;
}

bool proxy_table::choose(const url& destination, std::optional<url>& out,
                         std::string& problem) const {
  out.reset();
  const bool own =
      destination.secure() ? !settings_.https_proxy.empty() : !settings_.http_proxy.empty();
  const std::string& text = !own                   ? settings_.all_proxy
                            : destination.secure() ? settings_.https_proxy
                                                   : settings_.http_proxy;
  if (text.empty() || bypassed(destination)) return true;
  url proxy;
  if (!parse_proxy(text, proxy, problem)) {
    const char* name = !own ? "all_proxy" : destination.secure() ? "https_proxy" : "http_proxy";
    problem = std::string("the configured ") + name + " cannot be used: " + problem;
    return false;
  }
  out = std::move(proxy);
  return true;
}

}  // namespace rustic::http
