// Which proxy a request goes through.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "url.hpp"

namespace rustic::http {

struct proxy_settings {
  std::string https_proxy;  // for https URLs
  std::string http_proxy;   // for http URLs
  std::string all_proxy;    // where the one above is empty
  std::string no_proxy;     // hosts that are reached directly, separated by commas
};

// Immutable after construction; any thread.
class proxy_table {
 public:
  explicit proxy_table(proxy_settings settings);

  // The proxy for `destination`, nothing when it is reached directly. False: the configured proxy
  // cannot be used and `problem` says why, without its password.
  bool choose(const url& destination, std::optional<url>& out, std::string& problem) const;

  // Loopback, or named by no_proxy: a host, a domain (with or without a leading dot, and what lies
  // below it), host:port, an address, a network such as 10.0.0.0/8, or * for all.
  bool bypassed(const url& destination) const;

 private:
  proxy_settings settings_;
  std::vector<std::string> direct_;
};

}  // namespace rustic::http
