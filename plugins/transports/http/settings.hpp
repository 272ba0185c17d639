// The client's settings from the configuration's [plugin.http], and a request from its JSON form.
#pragma once
#include <rustic/json.hpp>

#include "http_client.hpp"

namespace rustic::http {

// Throws failure(INVALID_ARGUMENT) naming the member.
client_settings read_settings(const json::object& config);

// A header whose value has still to be resolved.
struct secret_header {
  std::size_t index;  // in the request's headers
  std::string prefix;
  std::string reference;
};

struct described_request {
  http_request request;
  std::vector<secret_header> secrets;
};

// Throws failure(INVALID_ARGUMENT) naming the member, never its value.
described_request read_request(const json::object& body);

// {"headers": [...], "version": ..., "url": ...}
std::string head_text(const response_head& head, const std::string& final_url);

// The body that goes with the outcome's status.
std::string finish_text(const outcome& result);

}  // namespace rustic::http
