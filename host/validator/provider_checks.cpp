// provider_checks.cpp - recorded exchanges with a model's server, played to a provider.
//
// The exchanges speak OpenAI Chat Completions. What the answers contain is only looked at for
// providers of that form: type "openai", or "wire": "openai-chat" among the attributes. That an
// error of the transport or the server is an error holds for every provider.
#include <algorithm>

#include "host/validator/trial.hpp"
#include "host/validator/trying.hpp"

namespace rustic::validator {
namespace {

std::vector<sample> questions(trial& t) {
  std::vector<sample> out;
  for (auto& one : good_samples(t))
    if (interface_of(one.service) == "rustic.provider") out.push_back(std::move(one));
  if (out.empty()) t.skip("it offers no rustic.provider");
  return out;
}

void speaks_openai(trial& t) {
  for (const auto& entry : array_or_empty(t.manifest(), "provides")) {
    if (!entry.is_object()) continue;
    const auto& one = entry.get_object();
    if (text_or(one, "type") == "openai" ||
        text_or(object_or_empty(one, "attributes"), "wire") == "openai-chat")
      return;
  }
  t.skip("the recorded exchanges are of the form openai-chat, which it does not name");
}

struct played {
  answer got;
  json::object body;
  std::string text;  // of the TEXT events
  std::size_t requests = 0;
};

played play(trial& t, const transcript& said, std::size_t piece_bytes = 4096) {
  const auto all = questions(t);
  running_plugin p(t);
  p.host.services.http = &said;
  p.host.services.http_piece_bytes = piece_bytes;
  t.step("the exchange \"" + std::string(said.name) + "\"");
  played out;
  out.got = try_call(p, all.front());
  out.requests = p.host.outgoing_made();
  if (out.requests == 0) t.skip("it makes no request of rustic.http");
  t.expect(out.got.finished, "a finish", "none");
  try {
    out.body = parse_object(out.got.body);
  } catch (const std::exception& problem) {
    t.fail("a body that is a JSON object", problem.what());
  }
  for (const auto& event : out.got.events) {
    if (event.kind == RAI_EVENT_RESTART) out.text.clear();
    if (event.kind == RAI_EVENT_TEXT) out.text += event.text;
  }
  return out;
}

std::string first_text(const json::object& body) {
  std::string out;
  for (const auto& part : array_or_empty(object_or_empty(body, "message"), "parts"))
    if (part.is_object() && text_or(part.get_object(), "type") == "text")
      out += text_or(part.get_object(), "text");
  return out;
}

void says_hello(trial& t, const transcript& said, std::size_t piece_bytes) {
  const auto got = play(t, said, piece_bytes);
  t.expect(got.got.ok(), "status OK", std::to_string(got.got.status) + ": " + shown(got.got.body));
  t.expect(first_text(got.body) == "Hello there.", "the text \"Hello there.\" in the message",
           shown(got.got.body));
  t.expect(got.text == "Hello there.", "the same text in events", "\"" + shown(got.text) + "\"");
  t.expect(text_or(got.body, "finish_reason") == "stop", "\"finish_reason\": \"stop\"",
           shown(got.got.body));
}

void plain(trial& t) {
  speaks_openai(t);
  says_hello(t, transcripts::plain, 4096);
}
void pieces(trial& t) {
  speaks_openai(t);
  says_hello(t, transcripts::plain, 1);
}
void no_choices(trial& t) {
  speaks_openai(t);
  says_hello(t, transcripts::empty_choices, 4096);
}

void usage(trial& t) {
  speaks_openai(t);
  const auto got = play(t, transcripts::plain);
  const auto& figures = object_or_empty(got.body, "usage");
  t.expect(int_or(figures, "input_tokens") == 9 && int_or(figures, "output_tokens") == 3,
           "usage of 9 and 3 tokens, as the server said", shown(got.got.body));
}

void tool_call(trial& t) {
  speaks_openai(t);
  const auto got = play(t, transcripts::tool_call);
  t.expect(got.got.ok(), "status OK", std::to_string(got.got.status) + ": " + shown(got.got.body));
  for (const auto& part : array_or_empty(object_or_empty(got.body, "message"), "parts")) {
    if (!part.is_object() || text_or(part.get_object(), "type") != "tool_call") continue;
    const auto& call = part.get_object();
    t.expect(text_or(call, "name") == "look" && text_or(call, "id") == "call_1" &&
                 text_or(call, "arguments") == R"({"at":"sky"})",
             "the call of look with {\"at\":\"sky\"}", json::serialize(call));
    t.expect(text_or(got.body, "finish_reason") == "tool_calls",
             "\"finish_reason\": \"tool_calls\"", shown(got.got.body));
    return;
  }
  t.fail("a tool_call among the parts of the message", shown(got.got.body));
}

void must_fail(trial& t, const transcript& said, std::initializer_list<rai_status> statuses,
               const std::string& expected) {
  const auto got = play(t, said);
  t.expect(std::find(statuses.begin(), statuses.end(), got.got.status) != statuses.end(), expected,
           "status " + std::to_string(got.got.status) + ": " + shown(got.got.body));
  t.expect(!text_or(got.body, "message").empty(), "an error with a message", shown(got.got.body));
}

void rate_limit(trial& t) {
  must_fail(t, transcripts::rate_limit, {RAI_RESOURCE_EXHAUSTED},
            "RESOURCE_EXHAUSTED when the server says 429");
}
void retry_after(trial& t) {
  const auto got = play(t, transcripts::rate_limit);
  const auto wait_ms = int_or(got.body, "retry_after_ms");
  t.expect(wait_ms == 7000, "\"retry_after_ms\": 7000, as the server's retry-after says",
           shown(got.got.body));
}
void server_error(trial& t) {
  must_fail(t, transcripts::server_error, {RAI_UNAVAILABLE, RAI_INTERNAL},
            "UNAVAILABLE when the server says 500");
}
void cut(trial& t) {
  must_fail(t, transcripts::cut, {RAI_UNAVAILABLE, RAI_DATA_LOSS},
            "UNAVAILABLE when the answer breaks off");
}
void malformed(trial& t) {
  must_fail(t, transcripts::malformed, {RAI_DATA_LOSS, RAI_UNAVAILABLE, RAI_INTERNAL},
            "an error when the server's answer cannot be read");
}

constexpr std::string_view sdk_provider =
    "rustic/provider/ of the SDK reads streams and errors; docs/interfaces/provider.md says what "
    "comes of them.";

constexpr check table[] = {
    {"provider.plain", 2, stage::answers, "a plain answer", sdk_provider, plain},
    {"provider.pieces", 2, stage::answers, "an answer byte by byte",
     "Keep what is left of an incomplete event; rustic/sse.hpp does.", pieces},
    {"provider.usage", 3, stage::answers, "counts of tokens", sdk_provider, usage},
    {"provider.tool_call", 2, stage::answers, "a call of a tool", sdk_provider, tool_call},
    {"provider.rate_limit", 2, stage::answers, "a 429", sdk_provider, rate_limit},
    {"provider.retry_after", 4, stage::answers, "a 429 with retry-after", sdk_provider,
     retry_after},
    {"provider.server_error", 2, stage::answers, "a 500", sdk_provider, server_error},
    {"provider.cut", 2, stage::answers, "an answer that breaks off",
     "Finish with what rustic.http said; never with OK before the end of the stream came.", cut},
    {"provider.malformed", 3, stage::answers, "an answer that is junk", sdk_provider, malformed},
    {"provider.no_choices", 3, stage::answers, "a piece without choices", sdk_provider, no_choices},
};
}  // namespace

std::span<const check> provider_checks() {
  return table;
}
}  // namespace rustic::validator
