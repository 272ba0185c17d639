// answer_checks.hpp - for tests of providers: reads a body with a reader however its bytes arrive,
// and compares recorded bodies with what is expected of them.
#pragma once
#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <rustic/provider/answer_reader.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rustic::fakes {

using make_reader =
    std::function<std::unique_ptr<provider::answer_reader>(const provider::subject& about)>;

struct read_answer {
  std::string text, reasoning, usage, warnings;
  std::vector<std::string> calls, arguments;
  std::optional<error> problem;
  json::object result;

  bool operator==(const read_answer& other) const {
    return text == other.text && reasoning == other.reasoning && usage == other.usage &&
           warnings == other.warnings && calls == other.calls && arguments == other.arguments &&
           result == other.result && problem.has_value() == other.problem.has_value() &&
           (!problem || problem->message == other.problem->message);
  }
  const json::array& parts() const { return result.at("message").at("parts").as_array(); }
};

inline void take_events(provider::event_batch& events, read_answer& out) {
  for (std::size_t i = 0; i < events.size(); ++i) {
    const rai_event event = events[i];
    const std::string text(to_view(event.text));
    if (event.kind == RAI_EVENT_TEXT) out.text += text;
    if (event.kind == RAI_EVENT_REASONING) out.reasoning += text;
    if (event.kind == RAI_EVENT_USAGE) out.usage = text;
    if (event.kind == RAI_EVENT_JSON) out.warnings += text;
    if (event.kind == RAI_EVENT_TOOL_CALL) {
      REQUIRE(event.index == out.calls.size());
      out.calls.push_back(text);
      out.arguments.emplace_back();
    }
    if (event.kind == RAI_EVENT_TOOL_ARGS) {
      REQUIRE(event.index < out.arguments.size());
      out.arguments[event.index] += text;
    }
  }
  events.clear();
}

// The first piece has `first` bytes, the others `piece`. Each lies alone in its memory, so that a
// sanitizer sees a read beyond it.
inline read_answer read_pieces(const make_reader& make, std::string_view body, std::size_t first,
                               std::size_t piece, const error* transport = nullptr) {
  const provider::subject about{"generate", "p", "http://127.0.0.1:1", "m"};
  const auto reader = make(about);
  read_answer out;
  std::size_t size = first;
  while (!body.empty()) {
    const std::vector<char> bytes(
        body.begin(), body.begin() + static_cast<std::ptrdiff_t>(
                                         std::min(std::max<std::size_t>(size, 1), body.size())));
    body.remove_prefix(bytes.size());
    const bool more = reader->feed({bytes.data(), bytes.size()});
    take_events(reader->events(), out);
    if (!more) break;
    size = piece;
  }
  reader->end(transport);
  take_events(reader->events(), out);
  out.problem = reader->problem();
  if (!out.problem) out.result = json::parse(reader->result()).as_object();
  return out;
}

inline read_answer read_whole(const make_reader& make, std::string_view body,
                              const error* transport = nullptr) {
  return read_pieces(make, body, body.size(), body.size(), transport);
}

// Split at every byte, byte by byte, and cut after every byte. A large body is tried at some
// hundred places. ends_once: an answer without its end is never taken for a whole one.
inline void check_every_byte(const make_reader& make, std::string_view body,
                             bool ends_once = true) {
  const read_answer whole = read_whole(make, body);
  REQUIRE(read_pieces(make, body, 1, 1) == whole);
  const std::size_t step = body.size() < 2'000 ? 1 : body.size() / 400 + 1;
  const error broke{status_code::unavailable, "reset", "", {}, json::object{{"kind", "reset"}}};
  for (std::size_t at = 0; at < body.size(); at += step) {
    CAPTURE(at);
    REQUIRE(read_pieces(make, body, at, body.size()) == whole);
    for (const error* transport : {static_cast<const error*>(nullptr), &broke}) {
      const read_answer cut = read_whole(make, body.substr(0, at), transport);
      REQUIRE(std::string_view(whole.text).starts_with(cut.text));
      REQUIRE(std::string_view(whole.reasoning).starts_with(cut.reasoning));
      REQUIRE(cut.calls.size() <= whole.calls.size());
      if (cut.problem || !ends_once) continue;
      REQUIRE_FALSE(whole.problem);
      REQUIRE(cut.result.at("message") == whole.result.at("message"));
    }
  }
}

inline std::string sse_of(std::initializer_list<std::string_view> events) {
  std::string out;
  for (const std::string_view event : events) {
    const json::value value = json::parse(event);
    const std::string_view type = text_or(value.as_object(), "type");
    if (!type.empty()) out.append("event: ").append(type).append("\n");
    out.append("data: ").append(event).append("\n\n");
  }
  return out;
}

// Recorded bodies, where RUSTIC_PROVIDER_FIXTURES names a folder with them.
struct recorded_dialect {
  std::string name;
  bool input_leaves_cached_out = false;
  bool output_leaves_reasoning_out = false;
  provider::classifier classify = provider::classify_error;
};

inline std::string read_file(const std::string& name) {
  std::ifstream file(name, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void text_sizes(const json::value& value, std::vector<std::size_t>& out) {
  if (value.is_string()) out.push_back(value.as_string().size());
  if (value.is_array()) {
    for (const json::value& one : value.as_array()) text_sizes(one, out);
  }
  if (value.is_object()) {
    for (const auto& [key, one] : value.as_object()) text_sizes(one, out);
  }
}

inline void check_recorded_answer(const recorded_dialect& dialect, const json::object& expect,
                                  const read_answer& got) {
  CHECK(got.text == text_or(expect, "text"));
  if (const auto reasoning = text_or(expect, "reasoning"); !reasoning.empty()) {
    CHECK(got.reasoning == reasoning);
  }
  const json::value* stop = find(expect, "stop");
  if (expect.contains("errors") || stop == nullptr) {
    CHECK(got.problem);
    return;
  }
  if (got.problem) FAIL(got.problem->message);
  CHECK(got.result.at("raw_finish_reason") == *stop);
  std::size_t calls = 0;
  std::vector<std::size_t> kept;
  const json::array& wanted = array_or_empty(expect, "tool_calls");
  for (const json::value& part : got.parts()) {
    if (const json::value* opaque = find(part.as_object(), "opaque")) text_sizes(*opaque, kept);
    if (part.at("type") != "tool_call") continue;
    REQUIRE(calls < wanted.size());
    const json::object& call = wanted[calls++].as_object();
    CHECK(part.at("name") == call.at("name"));
    if (const auto id = text_or(call, "id"); !id.empty()) CHECK(part.at("id") == json::value(id));
    CHECK_FALSE(part.at("id").as_string().empty());
    if (const json::value* arguments = find(call, "arguments")) {
      CHECK(json::parse(part.at("arguments").as_string()) == *arguments);
    }
  }
  CHECK(calls == wanted.size());
  for (const json::value& opaque : array_or_empty(expect, "opaque")) {
    const auto size = static_cast<std::size_t>(opaque.at("len").to_number<std::int64_t>());
    CAPTURE(opaque);
    CHECK(std::find(kept.begin(), kept.end(), size) != kept.end());
  }
  const json::object& usage = object_or_empty(expect, "usage");
  if (usage.empty()) return;
  std::int64_t input = int_or(usage, "input") + int_or(usage, "tool_use_prompt");
  if (dialect.input_leaves_cached_out) {
    input += int_or(usage, "cached_input") + int_or(usage, "cache_write");
  }
  std::int64_t output = int_or(usage, "output");
  if (dialect.output_leaves_reasoning_out) output += int_or(usage, "reasoning");
  const json::object& mine = got.result.at("usage").as_object();
  CHECK(int_or(mine, "input_tokens") == input);
  CHECK(int_or(mine, "output_tokens") == output);
  CHECK(int_or(mine, "cache_read_tokens") == int_or(usage, "cached_input"));
  CHECK(int_or(mine, "cache_write_tokens") == int_or(usage, "cache_write"));
  CHECK(int_or(mine, "reasoning_tokens") == int_or(usage, "reasoning"));
}

inline void check_recorded(const recorded_dialect& dialect, const make_reader& make) {
  const char* folder = std::getenv("RUSTIC_PROVIDER_FIXTURES");
  if (folder == nullptr) return;
  const std::string root = std::string(folder) + "/";
  const json::value all = json::parse(read_file(root + "expected.json"));
  std::size_t played = 0;
  for (const json::value& value : all.at("cases").as_array()) {
    const json::object& one = value.as_object();
    if (text_or(one, "dialect") != dialect.name || find(one, "expect") == nullptr) continue;
    const std::string file(one.at("file").as_string());
    const std::string body = read_file(root + file);
    if (body.empty()) continue;
    CAPTURE(file);
    ++played;
    const json::object& expect = one.at("expect").as_object();
    const int status = static_cast<int>(int_or(one, "http_status", 200));
    if (status >= 400) {
      const provider::subject about{"generate", "p", "http://127.0.0.1:1", "m", dialect.classify};
      const error got = provider::read_http_error(about, status, {}, body);
      CHECK(got.code != status_code::unknown);
      const json::value& first = expect.at("errors").as_array().at(0);
      const std::string words(text_or(first.as_object(), "message"));
      CHECK(got.message.find(words.substr(0, 40)) != std::string::npos);
      continue;
    }
    check_recorded_answer(dialect, expect, read_whole(make, body));
    // Old models said in each event that they had finished.
    const std::size_t end = body.find("finishReason");
    const bool ends_once =
        end == std::string::npos || body.find("finishReason", end + 1) == std::string::npos;
    check_every_byte(make, body, ends_once);
  }
  CHECK(played > 0);
}

}  // namespace rustic::fakes
