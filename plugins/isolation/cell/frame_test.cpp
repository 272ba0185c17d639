// The frames and the windows, fed with what an honest end says and with anything.
#include "frame.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <random>

#include "captured_output.hpp"
#include "flow_window.hpp"
#include "restart_policy.hpp"

using namespace rustic::cell;

namespace {
void feed(frame_buffer& buffer, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto room = buffer.room();
    const auto part = std::min(room.size(), bytes.size());
    std::memcpy(room.data(), bytes.data(), part);
    buffer.received(part);
    bytes.remove_prefix(part);
  }
}
}  // namespace

TEST_CASE("what is written is read, in pieces of any size") {
  std::string bytes;
  for (std::uint64_t id = 1; id <= 200; ++id)
    REQUIRE(frame_writer(bytes, frame_type::finish, id)
                .i32(static_cast<std::int32_t>(id))
                .text(std::string(id * 37 % 300, 'x'))
                .end());
  std::mt19937 random(1);
  for (int round = 0; round < 50; ++round) {
    frame_buffer buffer;
    std::string_view left = bytes;
    std::uint64_t seen = 0;
    frame next;
    while (!left.empty() || buffer.held() != 0) {
      const auto part = std::min<std::size_t>(left.size(), random() % 700);
      feed(buffer, left.substr(0, part));
      left.remove_prefix(part);
      while (buffer.next(next) == frame_buffer::found::whole) {
        ++seen;
        CHECK(next.id == seen);
        frame_reader reader(next.payload);
        CHECK(reader.i32() == static_cast<std::int32_t>(seen));
        CHECK(reader.text().size() == seen * 37 % 300);
        CHECK(reader.whole());
      }
    }
    CHECK(seen == 200);
  }
}

TEST_CASE("an event and a request come out as they went in") {
  rai_event event{};
  event.kind = RAI_EVENT_PROGRESS;
  event.flags = 3;
  event.index = 7;
  event.a = UINT64_MAX;
  event.b = 1;
  const std::string text("a\0b", 3);
  event.text = str(text);
  std::string bytes;
  bool fits = false;
  put_event(bytes, 9, event, fits);
  CHECK(fits);
  rai_request request{};
  request.struct_size = sizeof request;
  request.flags = RAI_SHIELDED;
  request.revision = 2;
  request.timeout_ms = 3;
  request.target = str("i/n");
  request.data = str(text);
  frame_writer writer(bytes, frame_type::forward, 10);
  put_request(writer, request);
  CHECK(writer.end());
  frame_buffer buffer;
  feed(buffer, bytes);
  frame next;
  REQUIRE(buffer.next(next) == frame_buffer::found::whole);
  rai_event back{};
  CHECK(get_event(next.payload, back));
  CHECK(back.kind == event.kind);
  CHECK(back.flags == event.flags);
  CHECK(back.index == event.index);
  CHECK(back.a == event.a);
  CHECK(back.b == event.b);
  CHECK(view(back.text) == text);
  REQUIRE(buffer.next(next) == frame_buffer::found::whole);
  frame_reader reader(next.payload);
  const auto other = get_request(reader);
  CHECK(reader.whole());
  CHECK(other.flags == request.flags);
  CHECK(other.revision == 2);
  CHECK(other.timeout_ms == 3);
  CHECK(view(other.target) == "i/n");
  CHECK(view(other.method).empty());
  CHECK(view(other.data) == text);
}

TEST_CASE("a payload that is cut anywhere is noticed and reads as nothing") {
  std::string bytes;
  frame_writer writer(bytes, frame_type::forward, 1);
  rai_request request{};
  request.target = str("rustic.test/target");
  request.body = str("{}");
  put_request(writer, request);
  writer.end();
  const std::string payload = bytes.substr(sizeof(frame_header));
  for (std::size_t cut = 0; cut < payload.size(); ++cut) {
    frame_reader reader(std::string_view(payload).substr(0, cut));
    get_request(reader);
    CHECK(!reader.whole());
    rai_event event{};
    CHECK(get_event(std::string_view(payload).substr(0, std::min<std::size_t>(cut, 23)), event) ==
          false);
  }
  const std::string longer = payload + "x";
  frame_reader reader(longer);
  get_request(reader);
  CHECK(reader.good());
  CHECK(!reader.whole());
  frame_reader lies(
      std::string_view("\xFF\xFF\xFF\xFF"
                       "abc",
                       7));
  CHECK(lies.text().empty());
  CHECK(!lies.good());
}

TEST_CASE("a header that promises much gets no memory for its promise") {
  frame_header header;
  header.bytes = frame_bytes_max;
  std::string bytes(reinterpret_cast<const char*>(&header), sizeof header);
  frame_buffer buffer;
  feed(buffer, bytes);
  frame next;
  CHECK(buffer.next(next) == frame_buffer::found::partial);
  CHECK(buffer.room().size() <= 2 * receive_growth_bytes);
  header.bytes = frame_bytes_max + 1;
  bytes.assign(reinterpret_cast<const char*>(&header), sizeof header);
  frame_buffer other;
  feed(other, bytes);
  CHECK(other.next(next) == frame_buffer::found::broken);
}

TEST_CASE("a frame that would be too long is taken back whole") {
  std::string bytes = "before";
  const std::string half(frame_bytes_max / 2, 'x');
  frame_writer writer(bytes, frame_type::finish);
  writer.text(half).text(half).text("more");
  CHECK(!writer.end());
  CHECK(bytes == "before");
}

TEST_CASE("windows: full, credit, more credit than is owed, overrun") {
  send_window out;
  for (std::uint32_t i = 0; i < window_events; ++i) {
    CHECK(!out.full());
    out.sent(1);
  }
  CHECK(out.full());
  out.taken({window_events / 2, window_events / 2});
  CHECK(!out.full());
  out.taken({UINT32_MAX, UINT64_MAX});
  out.sent(window_bytes * 100);  // one event may be of any size
  CHECK(out.full());
  CHECK(!out.overrun());
  out.sent(1);
  CHECK(out.overrun());

  receive_window in;
  std::uint32_t came = 0;
  while (in.came(1)) ++came;
  CHECK(came == window_events + backlog_events_max);
  receive_window honest;
  for (int i = 0; i < 100'000; ++i) {
    REQUIRE(honest.came(10));
    if (honest.took(10)) {
      const auto back = honest.give();
      CHECK(back.events == window_events / 2);
      CHECK(back.bytes == 10 * back.events);
    }
  }
}

TEST_CASE("restarts: at once, then later and later; deaths that are old do not count") {
  restart_policy policy({}, false);
  std::int64_t now = 1'000'000;
  CHECK(policy.wait_ms(now) == 0);
  policy.died(now);
  CHECK(policy.wait_ms(now) == 0);
  policy.died(now);
  CHECK(policy.wait_ms(now) == back_off_first_ms);
  CHECK(policy.wait_ms(now + 200) == back_off_first_ms - 200);
  CHECK(policy.wait_ms(now + 500) == 0);
  CHECK(!policy.quarantined());
  now += death_window_ms;
  policy.died(now);  // the others are too old
  CHECK(!policy.quarantined());
  CHECK(policy.recent_deaths(now) == 1);
  policy.died(now + 1);
  policy.died(now + 2);
  CHECK(policy.quarantined());

  restart_policy refuses({}, false);
  std::int64_t last = 0;
  for (int i = 0; i < 20; ++i) {
    refuses.refused(now);
    CHECK(refuses.wait_ms(now) >= last);
    last = refuses.wait_ms(now);
  }
  CHECK(last == back_off_max_ms);
  refuses.serves();
  CHECK(refuses.wait_ms(now) == 0);

  restart_policy backwards({now + 1'000'000, now + 2'000'000}, false);  // the clock was set back
  backwards.died(now);
  CHECK(!backwards.quarantined());
  CHECK(restart_policy({}, true).quarantined());
}

TEST_CASE("output becomes lines of a bounded length, and so many a second") {
  output_lines lines;
  std::vector<std::string> seen;
  const auto keep = [&](std::string_view line) { seen.emplace_back(line); };
  lines.feed("one\n\ntw", keep);
  lines.feed("o\nthree", keep);
  CHECK(seen == std::vector<std::string>{"one", "two"});
  lines.flush(keep);
  CHECK(seen.back() == "three");
  seen.clear();
  lines.feed(std::string(3 * output_line_bytes_max + 5, 'x') + "\nend\n", keep);
  REQUIRE(seen.size() == 5);
  CHECK(seen[0].size() == output_line_bytes_max);
  CHECK(seen[3].size() == 5);
  CHECK(seen[4] == "end");

  rate_limit rate(3);
  int taken = 0;
  for (int i = 0; i < 10; ++i) taken += rate.take(5'000) ? 1 : 0;
  CHECK(taken == 3);
  CHECK(rate.take_left_out() == 7);
  CHECK(!rate.open(5'999));
  CHECK(rate.open(6'000));
  CHECK(rate.take(6'000));
}
