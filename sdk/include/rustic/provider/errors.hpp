// errors.hpp - what a server's refusal means: status code, kind, message, hint, time to wait.
#pragma once
#include <rustic/json.hpp>
#include <rustic/status.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rustic::provider {

// Names in lower case.
using header_list = std::vector<std::pair<std::string, std::string>>;

// The members of an error body, whatever its shape was.
struct parsed_error {
  std::string message;
  std::string type;
  std::string code;
  std::string param;
  std::string reason;               // words that Google's details add
  int http_status = 0;              // as the body tells it
  std::int64_t retry_after_ms = 0;  // as the body tells it
};

// What it means. `kind` is one of docs/interfaces/provider.md.
struct verdict {
  status_code code;
  std::string_view kind;
  std::string_view hint;
};

// http_status is 0 for an error in the middle of an answer that tells none. A classifier of a
// provider's own looks for its words and leaves the rest to classify_error.
using classifier = verdict (*)(int http_status, const parsed_error& parsed);
verdict classify_error(int http_status, const parsed_error& parsed);

// What was asked of whom, for the message. Views: who makes one keeps what they show.
struct subject {
  std::string_view operation;  // generate, models, embed
  std::string_view instance;
  std::string_view base_url;
  std::string_view model;
  classifier classify = classify_error;
  std::string_view unreachable_hint = {};  // nobody listens; empty: the transport's
};

// The text {"headers": [[name, value], ...]} of a HEAD event.
header_list read_headers(std::string_view head_text);

// Every shape that is in use: {"error": {...}}, {"error": "..."}, {"detail": ...}, flat objects,
// plain words, HTML.
parsed_error parse_error(std::string_view body);
parsed_error parse_error(const json::value& body);

// An answer with a status that is not 2xx.
error read_http_error(const subject& about, int http_status, const header_list& headers,
                      std::string_view body);

// An error object inside an answer that began well.
error read_stream_error(const subject& about, const json::value& body);

// What the transport says, with the subject in front.
error read_transport_error(const subject& about, error transport);

// A 2xx answer that cannot be read.
error unreadable_answer(const subject& about, std::string_view why, std::string_view body = {});

// An answer that is larger than allowed.
error too_large_answer(const subject& about);

// Whether the answer refuses the request for its member `field`.
bool refuses_member(int http_status, std::string_view body, std::string_view field);

// Replaces what looks like a key or a part of one.
std::string redact_keys(std::string_view text);

// Seconds, a fraction of them, or an HTTP date, as milliseconds from now_s (Unix time); -1:
// neither.
std::int64_t retry_after_ms(std::string_view value, std::int64_t now_s);
// The value of a reset header in the same way: also a time (RFC 3339) or a duration (1m2.5s).
std::int64_t reset_after_ms(std::string_view value, std::int64_t now_s);

}  // namespace rustic::provider
