#include "request_head.hpp"

#include <algorithm>
#include <iterator>
#include <string_view>

#include "limits.hpp"

namespace rustic::http {
namespace {

bool is_token(std::string_view text) {
  static constexpr std::string_view others = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           others.find(c) != std::string_view::npos;
  });
}

// A control character would end the header and begin another one.
bool is_header_value(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && byte != '\t') || byte == 0x7f;
  });
}

bool same_name(std::string_view a, std::string_view lower_case) {
  return a.size() == lower_case.size() &&
         std::equal(a.begin(), a.end(), lower_case.begin(), [](char x, char y) {
           return (x >= 'A' && x <= 'Z' ? static_cast<char>(x + 32) : x) == y;
         });
}

// These describe the connection or the framing, which are the transport's.
constexpr std::string_view reserved[] = {
    "connection", "content-length", "expect",  "keep-alive",       "proxy-authorization",
    "te",         "trailer",        "upgrade", "proxy-connection", "transfer-encoding"};

// All that another origin gets to see of a request that it is not the target of: any other header
// may hold a key, whatever its name.
constexpr std::string_view for_any_origin[] = {
    "accept",           "accept-encoding", "accept-language", "content-encoding",
    "content-language", "content-type",    "user-agent"};

bool has_header(const http_request& request, std::string_view lower_case_name) {
  return std::any_of(request.headers.begin(), request.headers.end(),
                     [&](const auto& h) { return same_name(h.name, lower_case_name); });
}

void append_header(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ").append(value).append("\r\n");
}

}  // namespace

std::optional<std::string> request_problem(const http_request& request) {
  if (!is_token(request.method) || request.method.size() > 32) {
    return "the method is not an HTTP method";
  }
  if (request.method == "CONNECT" || request.method == "TRACE") {
    return "the method " + request.method + " is not offered";
  }
  if (request.body.size() > limits::request_body_bytes_max) {
    return "the body is larger than " + std::to_string(limits::request_body_bytes_max) + " bytes";
  }
  std::size_t bytes = 0;
  for (const auto& header : request.headers) {
    if (!is_token(header.name)) return "a header name holds characters that no header name has";
    if (!is_header_value(header.value)) {
      return "the value of header " + header.name + " holds a control character";
    }
    for (const auto name : reserved) {
      if (same_name(header.name, name)) {
        return "the header " + header.name + " is set by the transport and cannot be given";
      }
    }
    bytes += header.name.size() + header.value.size() + 4;
  }
  if (bytes > limits::request_head_bytes_max) {
    return "the headers are larger than " + std::to_string(limits::request_head_bytes_max) +
           " bytes";
  }
  return std::nullopt;
}

std::string basic_credentials(const std::string& userinfo) {
  static constexpr char digits[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out = "Basic ";
  for (std::size_t i = 0; i < userinfo.size(); i += 3) {
    const std::size_t left = std::min<std::size_t>(3, userinfo.size() - i);
    unsigned bits = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      bits = bits << 8 | (k < left ? static_cast<unsigned char>(userinfo[i + k]) : 0u);
    }
    for (std::size_t k = 0; k < 4; ++k) out += k <= left ? digits[bits >> (18 - 6 * k) & 63] : '=';
  }
  return out;
}

std::string request_head(const head_spec& spec) {
  const http_request& request = spec.request;
  std::string out;
  out.reserve(1024);
  out.append(request.method).append(" ");
  if (spec.proxy) out.append("http://").append(spec.destination.authority());
  out.append(spec.destination.target).append(" HTTP/1.1\r\n");
  if (!has_header(request, "host")) append_header(out, "Host", spec.destination.authority());
  if (!has_header(request, "user-agent") && !spec.user_agent.empty()) {
    append_header(out, "User-Agent", spec.user_agent);
  }
  if (!has_header(request, "accept")) append_header(out, "Accept", "*/*");
  if (!has_header(request, "accept-encoding")) {
    append_header(out, "Accept-Encoding", "gzip, deflate");
  }
  if (spec.proxy && !spec.proxy->userinfo.empty()) {
    append_header(out, "Proxy-Authorization", basic_credentials(spec.proxy->userinfo));
  }
  for (const auto& header : request.headers) append_header(out, header.name, header.value);
  const bool has_meaning =
      request.method == "POST" || request.method == "PUT" || request.method == "PATCH";
  if (!request.body.empty() || has_meaning) {
    append_header(out, "Content-Length", std::to_string(request.body.size()));
  }
  return out.append("\r\n");
}

std::string connect_head(const url& destination, const url& proxy, const std::string& user_agent) {
  const std::string target = destination.host_port();
  std::string out = "CONNECT " + target + " HTTP/1.1\r\n";
  append_header(out, "Host", target);
  if (!user_agent.empty()) append_header(out, "User-Agent", user_agent);
  if (!proxy.userinfo.empty()) {
    append_header(out, "Proxy-Authorization", basic_credentials(proxy.userinfo));
  }
  return out.append("\r\n");
}

void follow_redirect(http_request& request, int status, const url& from, const url& to) {
  const bool was_post = request.method == "POST";
  const bool to_get = status == 303 ? request.method != "HEAD" && request.method != "GET"
                                    : (status == 301 || status == 302) && was_post;
  if (to_get) {
    request.method = "GET";
    request.body.clear();
    request.body.shrink_to_fit();
  }
  const bool cross_origin = !from.same_origin(to);
  std::erase_if(request.headers, [&](const request_header& header) {
    if (to_get &&
        (same_name(header.name, "content-type") || same_name(header.name, "content-encoding") ||
         same_name(header.name, "content-language"))) {
      return true;
    }
    return cross_origin &&
           (header.secret || std::none_of(std::begin(for_any_origin), std::end(for_any_origin),
                                          [&](auto name) { return same_name(header.name, name); }));
  });
}

bool idempotent(const std::string& method) {
  return method == "GET" || method == "HEAD" || method == "OPTIONS" || method == "PUT" ||
         method == "DELETE";
}

}  // namespace rustic::http
