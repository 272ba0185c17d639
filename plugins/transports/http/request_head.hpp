// Checks a request and writes its head.
#pragma once
#include <optional>
#include <string>

#include "http_client.hpp"
#include "url.hpp"

namespace rustic::http {

// Nothing when the method and the headers may be sent; otherwise what is wrong with them. Never
// repeats a header's value.
std::optional<std::string> request_problem(const http_request& request);

// "Basic ..." for "user:password".
std::string basic_credentials(const std::string& userinfo);

struct head_spec {
  const http_request& request;
  const url& destination;
  const std::string& user_agent;
  const url* proxy = nullptr;  // set: the absolute form, for this proxy
};
std::string request_head(const head_spec& spec);

// The request with which a proxy opens a tunnel to `destination`.
std::string connect_head(const url& destination, const url& proxy, const std::string& user_agent);

// Turns `request` into the one that follows a redirect with this status from one URL to another.
void follow_redirect(http_request& request, int status, const url& from, const url& to);

// Doing it twice has the same effect as doing it once.
bool idempotent(const std::string& method);

}  // namespace rustic::http
