#include "host/validator/stand_ins.hpp"

#include <algorithm>
#include <rustic/json.hpp>

namespace rustic::validator {
namespace {
reply_step event(std::uint16_t kind, std::string text, std::uint64_t a = 0) {
  return {false, kind, a, RAI_OK, std::move(text)};
}
reply_step finish(rai_status status, std::string body) {
  return {true, 0, 0, status, std::move(body)};
}

reply refuse(rai_status status, std::string_view message, std::string_view hint) {
  return {finish(status, json::serialize(json::object{{"message", message}, {"hint", hint}}))};
}

reply play(const transcript& said, std::size_t piece_bytes) {
  json::array headers;
  headers.emplace_back(json::array{"content-type", said.content_type});
  if (said.status == 429) headers.emplace_back(json::array{"retry-after", "7"});
  reply out;
  out.push_back(event(RAI_EVENT_HEAD,
                      json::serialize(json::object{{"headers", headers}, {"version", "1.1"}}),
                      static_cast<std::uint64_t>(said.status)));
  for (std::size_t done = 0; done < said.body.size(); done += piece_bytes)
    out.push_back(event(RAI_EVENT_DATA, std::string(said.body.substr(done, piece_bytes))));
  if (said.is_cut) {
    const json::object details{
        {"kind", "truncated"}, {"bytes_received", said.body.size()}, {"http_status", said.status}};
    out.push_back(finish(
        RAI_UNAVAILABLE,
        json::serialize(json::object{{"message", "POST provider.invalid: the connection broke"},
                                     {"details", details}})));
  } else {
    out.push_back(finish(RAI_OK, json::serialize(json::object{{"status", said.status},
                                                              {"body_bytes", said.body.size()}})));
  }
  return out;
}
}  // namespace

namespace transcripts {
#define CHUNK(delta, reason)                                                                 \
  "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\"," \
  "\"choices\":[{\"index\":0,\"delta\":" delta ",\"finish_reason\":" reason "}]}\n\n"
#define USAGE                                                                                   \
  "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\","    \
  "\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":3,\"total_tokens\":12}}" \
  "\n\n"

constexpr std::string_view plain_body = CHUNK("{\"role\":\"assistant\",\"content\":\"\"}", "null")
    CHUNK("{\"content\":\"Hello \"}", "null") CHUNK("{\"content\":\"there.\"}", "null")
        CHUNK("{}", "\"stop\"") USAGE "data: [DONE]\n\n";
const transcript plain{"plain", 200, "text/event-stream", plain_body, false};

constexpr std::string_view tool_body = CHUNK(
    "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"index\":0,\"id\":\"call_1\","
    "\"type\":\"function\",\"function\":{\"name\":\"look\",\"arguments\":\"\"}}]}",
    "null") CHUNK("{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{\\\"at\\\":\"}}]}",
                  "null")
    CHUNK("{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"\\\"sky\\\"}\"}}]}", "null")
        CHUNK("{}", "\"tool_calls\"") USAGE "data: [DONE]\n\n";
const transcript tool_call{"tool call", 200, "text/event-stream", tool_body, false};

const transcript rate_limit{
    "429", 429, "application/json",
    R"({"error":{"message":"Rate limit reached","type":"requests","code":"rate_limit_exceeded"}})",
    false};
const transcript server_error{
    "500", 500, "application/json",
    R"({"error":{"message":"The server had an error","type":"server_error","code":null}})", false};

constexpr std::string_view cut_body = CHUNK("{\"role\":\"assistant\",\"content\":\"\"}", "null")
    CHUNK("{\"content\":\"Hello \"}", "null");
const transcript cut{"cut", 200, "text/event-stream", cut_body, true};

constexpr std::string_view malformed_body =
    CHUNK("{\"role\":\"assistant\",\"content\":\"Hel\"}", "null") "data: {\"choices\":[{\"del\n\n";
const transcript malformed{"malformed", 200, "text/event-stream", malformed_body, false};

constexpr std::string_view empty_body =
    "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\","
    "\"choices\":[]}\n\n" CHUNK("{\"content\":\"Hello there.\"}", "null")
        CHUNK("{}", "\"stop\"") "data: [DONE]\n\n";
const transcript empty_choices{"empty choices", 200, "text/event-stream", empty_body, false};
#undef CHUNK
#undef USAGE
}  // namespace transcripts

std::vector<std::string> stand_ins::targets() const {
  if (is_empty) return {};
  return {"rustic.http/default", "rustic.clock/default", "rustic.id/default",
          "rustic.secret/default", "rustic.ask/default"};
}

bool stand_ins::offers(std::string_view target) const {
  const auto all = targets();
  return std::find(all.begin(), all.end(), target) != all.end();
}

reply stand_ins::answer(const asked& call) const {
  if (call.is_next)
    return {
        event(RAI_EVENT_OUTPUT, "from the rest of the chain"),
        finish(RAI_OK,
               R"({"success":true,"output":"done","error":null,"metadata":{},"message":null})")};
  if (!offers(call.target))
    return refuse(RAI_NOT_FOUND, "there is no service " + call.target, "load a plugin with one");
  if (call.target == "rustic.http/default" && call.method == "request")
    return play(*http, http_piece_bytes);
  if (call.target == "rustic.clock/default" && call.method == "now")
    return {finish(RAI_OK, R"({"unix_ms":1764000000000})")};
  if (call.target == "rustic.id/default" && call.method == "new")
    return {finish(RAI_OK, R"({"id":"01J0000000000000000000000A"})")};
  if (call.target == "rustic.secret/default" && call.method == "resolve")
    return {finish(RAI_OK, json::serialize(json::object{{"value", secret}}))};
  if (call.target == "rustic.ask/default") return {finish(RAI_OK, R"({"answer":"deny"})")};
  return refuse(RAI_UNIMPLEMENTED, call.target + " has no method " + call.method, "");
}
}  // namespace rustic::validator
