#include <doctest/doctest.h>

#include <algorithm>
#include <rustic/sse.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace {

struct event {
  std::string name, data, id;
  bool operator==(const event&) const = default;
};

struct outcome {
  std::vector<event> events;
  std::string undispatched, leftover;
  bool ok = true;
  bool operator==(const outcome&) const = default;
};

// Parses the text in pieces of `piece` bytes after a first piece of `first` bytes.
outcome parse(std::string_view text, std::size_t first, std::size_t piece,
              std::size_t limit = rustic::sse_frame_bytes_max) {
  rustic::sse_parser parser(limit);
  outcome result;
  const auto keep = [&](const rustic::sse_parser::event_view& view) {
    result.events.push_back(
        {std::string(view.event), std::string(view.data), std::string(view.id)});
  };
  std::size_t size = first;
  while (!text.empty()) {
    // A copy on the heap of exactly this piece, so that a view that outlives it is found.
    const std::vector<char> bytes(
        text.begin(), text.begin() + static_cast<std::ptrdiff_t>(std::min(size, text.size())));
    text.remove_prefix(bytes.size());
    result.ok = parser.feed({bytes.data(), bytes.size()}, keep) && result.ok;
    size = piece;
  }
  result.ok = parser.finish(keep) && result.ok;
  result.undispatched = parser.undispatched();
  result.leftover = parser.leftover();
  return result;
}

outcome parse(std::string_view text) {
  return parse(text, text.size(), text.size());
}

// The same text must give the same events however it is split.
void check_every_split(std::string_view text, const outcome& expected) {
  CHECK(parse(text).events == expected.events);
  for (std::size_t at = 0; at <= text.size(); ++at) {
    CAPTURE(at);
    const outcome got = parse(text, at, text.size());
    REQUIRE(got.events == expected.events);
    REQUIRE(got.undispatched == expected.undispatched);
    REQUIRE(got.leftover == expected.leftover);
  }
  for (const std::size_t piece : {1, 2, 3, 5, 7}) {
    CAPTURE(piece);
    CHECK(parse(text, piece, piece) == expected);
  }
}

const std::string grammar =
    "\xEF\xBB\xBF: comment first\r\n"
    "retry: 3000\r\n"
    "\r\n"
    ":\r\n"
    "data:{\"a\":\r\n"
    "data: 1}\r\n"
    "\r\n"
    "event: message\rid: 7\rdata: B\r\r"
    "event: dropped-without-data\n"
    "\n"
    "unknown: x\n"
    "data:  two spaces\n"
    "\n"
    "data\n"
    "\n"
    "data\n"
    "data\n"
    "\n"
    "id\n"
    "data: \xC3\xA9\n"
    "\n"
    "data: [DONE]\n"
    "\n";

}  // namespace

TEST_CASE("every rule of the grammar, at every split") {
  outcome expected;
  expected.events = {{"", "{\"a\":\n1}", ""}, {"message", "B", "7"}, {"", " two spaces", "7"},
                     {"", "", "7"},           {"", "\n", "7"},       {"", "\xC3\xA9", ""},
                     {"", "[DONE]", ""}};
  check_every_split(grammar, expected);
}

TEST_CASE("each line end gives the same events") {
  for (const std::string_view end : {"\n", "\r", "\r\n"}) {
    std::string text;
    for (const std::string_view line : {"event: e", "data: 1", "data: 2", "", "data: 3", ""}) {
      text.append(line).append(end);
    }
    outcome expected;
    expected.events = {{"e", "1\n2", ""}, {"", "3", ""}};
    check_every_split(text, expected);
  }
}

TEST_CASE("an event without its blank line is not an event, and its data is not lost") {
  outcome expected;
  expected.events = {{"", "1", ""}};
  expected.undispatched = "{\"half\":";
  check_every_split("data: 1\n\ndata: {\"half\":", expected);
  expected.undispatched = "2\n3";
  check_every_split("data: 1\n\ndata: 2\ndata: 3\n", expected);
}

TEST_CASE("a field named error is handed over at once") {
  outcome expected;
  expected.events = {{"", "1", ""}, {"error", "{\"error\":{\"message\":\"m\"}}", ""}};
  check_every_split("data: 1\n\nerror: {\"error\":{\"message\":\"m\"}}\n", expected);
  check_every_split("data: 1\n\nerror: {\"error\":{\"message\":\"m\"}}", expected);
}

TEST_CASE("text that is no event is kept") {
  outcome expected;
  expected.events = {{"", "1", ""}};
  expected.leftover = "{\n  \"error\": {\n    \"code\": 503\n  }\n}";
  check_every_split("data: 1\n\n{\n  \"error\": {\n    \"code\": 503\n  }\n}\n", expected);
  CHECK(parse("upstream connect error. reason: reset\n").leftover ==
        "upstream connect error. reason: reset");
  CHECK(parse("x-unknown: 1\ndata: a\n\n").leftover.empty());
  CHECK(parse(std::string(200'000, 'x') + "\n").leftover.size() == rustic::sse_leftover_bytes_max);
  std::string lines;
  for (int i = 0; i < 10'000; ++i) lines += "no field here\n";
  CHECK(parse(lines).leftover.size() <= rustic::sse_leftover_bytes_max + 1);
}

TEST_CASE("an event larger than allowed ends the parsing") {
  const std::string line = "data: " + std::string(100, 'x') + "\n";
  CHECK(parse(line + "\n", 1, 1, 106).ok);
  for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, line.size() + 1}) {
    const outcome got = parse(line + "\ndata: after\n\n", piece, piece, 105);
    CHECK_FALSE(got.ok);
    CHECK(got.events.empty());
  }
  // Many lines that are small, one event that is not.
  std::string lines;
  for (int i = 0; i < 100; ++i) lines += "data: 0123456789\n";
  CHECK_FALSE(parse(lines + "\n", 10, 10, 500).ok);
  CHECK_FALSE(parse(lines + "\n", lines.size() + 1, 1, 500).ok);
  // A line that never ends is noticed before it does.
  rustic::sse_parser parser(1000);
  std::size_t fed = 0;
  while (fed < 10'000 && parser.feed("data: 0123456789", [](const auto&) {})) fed += 16;
  CHECK(fed <= 1000);
  CHECK(parser.too_large());
}

TEST_CASE("a byte order mark is dropped once, and only when it is whole") {
  CHECK(parse("\xEF\xBB\xBF"
              "data: 1\n\n")
            .events == std::vector<event>{{"", "1", ""}});
  CHECK(parse("\xEF\xBB\xBF\xEF\xBB\xBF"
              "data: 1\n\n")
            .events.empty());
  CHECK(parse("\xEF\xBB"
              "data: 1\n\n",
              1, 1)
            .leftover ==
        "\xEF\xBB"
        "data: 1");
  CHECK(parse("\xEF").leftover == "\xEF");
}

TEST_CASE("retry and id follow the grammar") {
  rustic::sse_parser parser;
  const auto ignore = [](const rustic::sse_parser::event_view&) {};
  parser.feed("retry: 12x\nretry: -4\nretry: -0\nretry\n", ignore);
  CHECK(parser.retry_ms() == -1);
  parser.feed("retry: 1500\n", ignore);
  CHECK(parser.retry_ms() == 1500);
  parser.feed(": one\n:two\n", ignore);
  CHECK(parser.comments() == 2);
  CHECK(parse(std::string_view("id: a\nid: b\0c\ndata: 1\n\n", 23)).events ==
        std::vector<event>{{"", "1", "a"}});
}

TEST_CASE("one data line in one piece is handed over without a copy") {
  const std::string text = "data: first\n\nevent: e\ndata: second\n\n";
  rustic::sse_parser parser;
  int inside = 0;
  parser.feed(text, [&](const rustic::sse_parser::event_view& view) {
    if (view.data.data() >= text.data() && view.data.data() < text.data() + text.size()) ++inside;
  });
  CHECK(inside == 2);
}

TEST_CASE("many lines that end with CR alone are read in linear time") {
  std::string text;
  for (int i = 0; i < 200'000; ++i) text += "data: 1\r\r";
  std::size_t events = 0;
  rustic::sse_parser parser;
  parser.feed(text, [&](const auto&) { ++events; });
  CHECK(events == 200'000);
}
