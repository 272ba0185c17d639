#include "fault.hpp"

#include <doctest/doctest.h>

#include "notice.hpp"

using namespace rustic;
using namespace rustic::resilience;

namespace {

error problem(status_code code, std::string_view kind, std::optional<bool> should_retry = {}) {
  error out;
  out.code = code;
  json::object details;
  if (!kind.empty()) details["kind"] = kind;
  if (should_retry) details["should_retry"] = *should_retry;
  out.details = std::move(details);
  return out;
}
remedy of(status_code code, std::string_view kind, std::optional<bool> should_retry = {}) {
  return judge(problem(code, kind, should_retry)).what;
}
}  // namespace

TEST_CASE("what passes by itself is tried again") {
  for (const auto* kind : {"overloaded", "server_error", "stream_cut", "connect", "dns", "reset",
                           "truncated", "protocol", "proxy", ""})
    CHECK(of(status_code::unavailable, kind) == remedy::again);
  for (const auto* kind : {"connect", "first_byte", "idle"})
    CHECK(of(status_code::deadline_exceeded, kind) == remedy::again);
  CHECK(of(status_code::resource_exhausted, "rate_limit") == remedy::again);
}

TEST_CASE("what another try does not change is not") {
  CHECK(of(status_code::invalid_argument, "context_length") == remedy::none);
  CHECK(of(status_code::invalid_argument, "bad_request") == remedy::none);
  CHECK(of(status_code::invalid_argument, "content_filter") == remedy::none);
  CHECK(of(status_code::permission_denied, "content_filter") == remedy::none);
  CHECK(of(status_code::resource_exhausted, "answer_too_large") == remedy::none);
  CHECK(of(status_code::resource_exhausted, "") == remedy::none);
  CHECK(of(status_code::cancelled, "") == remedy::none);
  CHECK(of(status_code::internal, "") == remedy::none);
  // The caller's own deadline.
  CHECK(of(status_code::deadline_exceeded, "") == remedy::none);
  // Whatever the server says about it.
  CHECK(of(status_code::invalid_argument, "bad_request", true) == remedy::none);
}

TEST_CASE("what lasts here may go elsewhere, and what is not set up is told apart") {
  CHECK(of(status_code::resource_exhausted, "quota") == remedy::elsewhere);
  CHECK(of(status_code::resource_exhausted, "quota", true) == remedy::elsewhere);
  CHECK(of(status_code::unavailable, "tls") == remedy::elsewhere);
  CHECK(of(status_code::data_loss, "malformed") == remedy::elsewhere);
  CHECK(of(status_code::unavailable, "server_error", false) == remedy::elsewhere);
  CHECK(of(status_code::unauthenticated, "bad_key") == remedy::setup);
  CHECK(of(status_code::permission_denied, "permission") == remedy::setup);
  CHECK(of(status_code::not_found, "model_not_found") == remedy::setup);
  CHECK(of(status_code::not_found, "") == remedy::setup);
  CHECK(in_words(judge(problem(status_code::not_found, ""))) == "not set up");
}

TEST_CASE("only what speaks of the server's health counts against it") {
  CHECK(judge(problem(status_code::unavailable, "overloaded")).sick);
  CHECK(judge(problem(status_code::resource_exhausted, "rate_limit")).sick);
  CHECK_FALSE(judge(problem(status_code::resource_exhausted, "quota")).sick);
  CHECK_FALSE(judge(problem(status_code::invalid_argument, "bad_request")).sick);
  CHECK_FALSE(judge(problem(status_code::unauthenticated, "bad_key")).sick);
}

TEST_CASE("a wait of nothing is no wait, and errors that are not waited for have none") {
  auto limited = problem(status_code::resource_exhausted, "rate_limit");
  limited.retry_after_ms = 0;
  CHECK_FALSE(judge(limited).retry_after_ms);
  limited.retry_after_ms = -5;
  CHECK_FALSE(judge(limited).retry_after_ms);
  limited.retry_after_ms = 1500;
  CHECK(judge(limited).retry_after_ms == 1500);
  auto refused = problem(status_code::invalid_argument, "bad_request");
  refused.retry_after_ms = 1500;
  CHECK_FALSE(judge(refused).retry_after_ms);
}

TEST_CASE("details of any form are read") {
  error odd;
  odd.code = status_code::unavailable;
  for (const auto* text : {"null", "[]", "3", R"({"kind":7,"should_retry":"no"})", "{}"}) {
    odd.details = json::parse(text);
    CHECK(judge(odd).what == remedy::again);
    CHECK(judge(odd).kind == "UNAVAILABLE");
  }
}

TEST_CASE("a tool is called again only when the call was not carried out") {
  CHECK(judge_tool(problem(status_code::unavailable, "")).what == remedy::again);
  CHECK(judge_tool(problem(status_code::unavailable, "plugin_died", false)).what == remedy::none);
  CHECK(judge_tool(problem(status_code::unavailable, "", true)).what == remedy::again);
  CHECK(judge_tool(problem(status_code::deadline_exceeded, "idle")).what == remedy::none);
  CHECK(judge_tool(problem(status_code::internal, "")).what == remedy::none);
  CHECK(judge_tool(problem(status_code::not_found, "")).what == remedy::none);
}

TEST_CASE("words for a person") {
  fault what;
  what.kind = "overloaded";
  what.http_status = 529;
  CHECK(in_words(what) == "overloaded (529)");
  what.retry_after_ms = 3'600'000;
  CHECK(text_or(fallback_event("a/m", "b", what), "message") ==
        "a/m: overloaded (529), free in 60 min; going on with b");
  CHECK(text_or(retry_event("a/m", what, 2500, 2), "message") ==
        "a/m: overloaded (529); again in 2.5 s");
  CHECK(time_in_words(0) == "0 ms");
  CHECK(time_in_words(9999) == "9.9 s");
  CHECK(time_in_words(90'400) == "90 s");
  CHECK(time_in_words(86'400'000) == "24 h");
  // A kind that is not known, and bytes that are no UTF-8.
  what.kind = "odd\xff";
  (void)json::serialize(retry_event("t\xff", what, 1, 2));
  CHECK(is_utf8(json::serialize(retry_event("t\xff", what, 1, 2))));
}
