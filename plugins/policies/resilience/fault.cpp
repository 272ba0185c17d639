#include "fault.hpp"

#include <algorithm>
#include <array>

namespace rustic::resilience {
namespace {

struct known_kind {
  std::string_view kind;
  std::string_view words;
};
constexpr std::array<known_kind, 25> kinds{{
    {"rate_limit", "rate limit"},
    {"overloaded", "overloaded"},
    {"server_error", "server error"},
    {"stream_cut", "the answer broke off"},
    {"reset", "the connection broke"},
    {"truncated", "the answer broke off"},
    {"protocol", "the answer is no HTTP"},
    {"dns", "its host was not found"},
    {"connect", "it cannot be reached"},
    {"tls", "no secure connection"},
    {"proxy", "the proxy refuses"},
    {"redirect", "it redirects"},
    {"first_byte", "no answer in time"},
    {"idle", "it fell silent"},
    {"quota", "no money or quota left"},
    {"malformed", "its answer cannot be read"},
    {"bad_key", "key refused"},
    {"permission", "it does not permit this"},
    {"model_not_found", "it has no such model"},
    {"not_found", "nothing answers at its address"},
    {"not_set_up", "not set up"},
    {"plugin_died", "its plugin died"},
    {"plugin_quarantined", "its plugin is in quarantine"},
    {"circuit_open", "it has failed several times"},
    {"context_length", "the conversation is too long for it"},
}};

template <std::size_t N>
bool one_of(std::string_view text, const std::array<std::string_view, N>& list) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

// The same however often and soon it is asked.
constexpr std::array<std::string_view, 3> lasting{"tls", "redirect", "malformed"};
constexpr std::array<std::string_view, 3> late{"connect", "first_byte", "idle"};
constexpr std::array<std::string_view, 4> unset{"bad_key", "permission", "model_not_found",
                                                "not_found"};

remedy remedy_of(const error& problem, std::string_view kind) {
  switch (problem.code) {
    case status_code::unavailable:
      return one_of(kind, lasting) ? remedy::elsewhere : remedy::again;
    case status_code::deadline_exceeded:
      // Without one of these kinds it is the caller's own deadline.
      return one_of(kind, late) ? remedy::again : remedy::none;
    case status_code::resource_exhausted:
      if (kind == "quota") return remedy::elsewhere;
      return kind == "rate_limit" || kind == "dns" ? remedy::again : remedy::none;
    case status_code::data_loss:
      return kind == "malformed" ? remedy::elsewhere : remedy::none;
    case status_code::unauthenticated:
    case status_code::permission_denied:
    case status_code::not_found:
    case status_code::failed_precondition:
      return kind.empty() || one_of(kind, unset) ? remedy::setup : remedy::none;
    default:
      return remedy::none;
  }
}
}  // namespace

fault judge(const error& problem) {
  fault out;
  const auto* details = problem.details.if_object();
  if (details) {
    out.kind = text_or(*details, "kind");
    out.http_status = int_or(*details, "http_status");
  }
  out.what = remedy_of(problem, out.kind);
  if (out.what == remedy::again || out.what == remedy::elsewhere) {
    out.sick = out.kind != "quota";
    if (problem.retry_after_ms && *problem.retry_after_ms > 0)
      out.retry_after_ms = problem.retry_after_ms;
  }
  if (details && !bool_or(*details, "should_retry", true) && out.what == remedy::again)
    out.what = remedy::elsewhere;
  if (out.kind.empty() && out.what == remedy::setup) out.kind = "not_set_up";
  if (out.kind.empty()) out.kind = status_name(problem.code);
  return out;
}

fault judge_tool(const error& problem) {
  fault out;
  bool may_help = true;
  if (const auto* details = problem.details.if_object()) {
    out.kind = text_or(*details, "kind");
    may_help = bool_or(*details, "should_retry", true);
  }
  if (out.kind.empty()) out.kind = status_name(problem.code);
  if (problem.code == status_code::unavailable && may_help) out.what = remedy::again;
  if (problem.retry_after_ms && *problem.retry_after_ms > 0)
    out.retry_after_ms = problem.retry_after_ms;
  return out;
}

std::string in_words(const fault& what) {
  std::string out = what.kind;
  for (const auto& one : kinds)
    if (one.kind == what.kind) out = one.words;
  if (what.http_status >= 400) out += " (" + std::to_string(what.http_status) + ")";
  return out;
}
}  // namespace rustic::resilience
