// http and https URLs: parsing, origins, and resolving a redirect's Location.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace rustic::http {

struct url {
  std::string scheme;  // "http" or "https"
  std::string host;    // lower case; an IPv6 address without brackets
  std::uint16_t port = 0;
  std::string target;    // path and query, at least "/"; no fragment
  std::string userinfo;  // percent-decoded "user:password"; only parse_proxy accepts it

  bool secure() const { return scheme == "https"; }
  // "host" or "host:port" when the port is not the scheme's own, as for a Host header.
  std::string authority() const;
  // "host:port", an IPv6 address in brackets.
  std::string host_port() const;
  bool same_origin(const url& other) const {
    return scheme == other.scheme && host == other.host && port == other.port;
  }
};

enum class url_strictness {
  exact,    // no spaces: the URL of a request
  lenient,  // spaces are percent-encoded: a Location header
};

// True on success; otherwise `problem` says what is wrong, without repeating the URL.
bool parse_url(std::string_view text, url_strictness strictness, url& out, std::string& problem);

// Resolves `location` (absolute or relative) against `base`.
bool resolve_location(const url& base, std::string_view location, url& out, std::string& problem);

// A proxy: "http://[user[:password]@]host[:port]"; "host:port" alone means http.
bool parse_proxy(std::string_view text, url& out, std::string& problem);

bool is_ip_address(const std::string& host);
// localhost, *.localhost, 127.0.0.0/8 and ::1.
bool is_loopback(const std::string& host);

}  // namespace rustic::http
