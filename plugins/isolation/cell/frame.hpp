// frame.hpp - what the cell and its child say to each other, and how it lies in the bytes.
//
// A stream of frames: a header, then a payload of fixed fields and texts (length, bytes) in the
// order that is written beside each type. Both ends come from one build; numbers are in the
// machine's order. A reader trusts nothing: whatever the bytes, it stays inside them.
#pragma once
#include <rustic/abi.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "limits.hpp"

namespace rustic::cell {

inline constexpr std::uint32_t protocol_number = 1;

enum class frame_type : std::uint16_t {
  // To the child: the life of the plugin. Each is answered with `done` before the next comes.
  load = 1,   // u32 protocol, text config, u64 memory, files, processes, cpu_s, u32 n, n paths
  start = 2,  // u32 n, n targets; the answer's text has one byte for each: '1' when it is offered
  save = 3,
  restore = 4,  // text state
  stop = 5,
  // To the child: calls that it serves, and the calls that it made. id: the call.
  call = 10,     // see put_request: u32 service, i64 deadline_ms, u64 trace_high, trace_low, root,
                 // text caller, request
  cancel = 11,   // once
  release = 12,  // of a call that was forwarded
  no_events = 13,
  published = 14,  // id: the subscription. text topic, text body
  ping = 15,
  // Both ways.
  event = 20,   // u16 kind, u16 flags, u32 index, u64 a, u64 b, the rest is the text
  finish = 21,  // i32 status, text body
  credit = 22,  // u32 events, u64 bytes: that many were taken
  // From the child. id: a call, or a call of its own, or a subscription.
  done = 30,     // i32 status, text, text note
  forward = 31,  // request
  request = 32,  // u64 parent, u32 whether events are wanted, request
  cancel_own = 33,
  abandon = 34,
  publish = 35,    // text topic, text body
  subscribe = 36,  // text pattern
  unsubscribe = 37,
  log = 38,  // i32 level, text; id: the call
  pong = 39,
  give_up = 40,  // like finish, and the events that wait are void
  // On the second socket: questions of the child, one at a time, and their answers.
  list = 50,      // text pattern
  listing = 51,   // u32 n, n times text target, text attributes
  provide = 52,   // u32 service, text target, text attributes
  withdraw = 53,  // text target
  answer = 54,    // i32 status
};

// Services are called by number: the targets of `start` from 0, what the plugin provides while it
// runs from here.
inline constexpr std::uint32_t first_provided = 1u << 20;

struct frame_header {
  std::uint32_t bytes = 0;  // of the payload
  std::uint16_t type = 0;
  std::uint16_t reserved = 0;
  std::uint64_t id = 0;
};
static_assert(sizeof(frame_header) == 16);

struct frame {
  frame_type type{};
  std::uint64_t id = 0;
  std::string_view payload;  // borrowed from the buffer that it came in
};

// Appends one frame to a string. The frame is there when end() has returned true; when its payload
// would be longer than frame_bytes_max end() takes it away again and returns false.
class frame_writer {
 public:
  frame_writer(std::string& out, frame_type type, std::uint64_t id = 0);
  frame_writer& u16(std::uint16_t value) { return raw(&value, sizeof value); }
  frame_writer& u32(std::uint32_t value) { return raw(&value, sizeof value); }
  frame_writer& i32(std::int32_t value) { return raw(&value, sizeof value); }
  frame_writer& u64(std::uint64_t value) { return raw(&value, sizeof value); }
  frame_writer& i64(std::int64_t value) { return raw(&value, sizeof value); }
  frame_writer& text(std::string_view value);
  frame_writer& rest(std::string_view value) { return raw(value.data(), value.size()); }
  bool end();

 private:
  frame_writer& raw(const void* data, std::size_t bytes);
  std::string& out_;
  const std::size_t at_;
  bool fits_ = true;
};

// Takes a payload apart. After the first field that is not there all are zero and empty.
class frame_reader {
 public:
  explicit frame_reader(std::string_view payload) : left_(payload) {}
  std::uint16_t u16() { return number<std::uint16_t>(); }
  std::uint32_t u32() { return number<std::uint32_t>(); }
  std::int32_t i32() { return number<std::int32_t>(); }
  std::uint64_t u64() { return number<std::uint64_t>(); }
  std::int64_t i64() { return number<std::int64_t>(); }
  std::string_view text();
  std::string_view rest();
  // Every field was there and nothing is left.
  bool whole() const noexcept { return good_ && left_.empty(); }
  bool good() const noexcept { return good_; }

 private:
  template <class Number>
  Number number();
  std::string_view left_;
  bool good_ = true;
};

// The bytes that came in, as frames. Not for several threads.
class frame_buffer {
 public:
  enum class found { whole, partial, broken };

  // Where the next bytes go; at least one byte. Frames handed out before are void.
  std::span<char> room();
  void received(std::size_t bytes) noexcept { end_ += bytes; }
  // broken: what came is no frame and nothing after it can be read.
  found next(frame& out);
  std::size_t held() const noexcept { return end_ - begin_; }

 private:
  std::unique_ptr<char[]> data_;
  std::size_t capacity_ = 0, begin_ = 0, end_ = 0;
};

// The fields that several types share.

void put_event(std::string& out, std::uint64_t id, const rai_event& event, bool& fits);
// False: it is none. The text is borrowed from the payload.
bool get_event(std::string_view payload, rai_event& out);

void put_request(frame_writer& out, const rai_request& request);
rai_request get_request(frame_reader& in);

inline std::string_view view(rai_str text) noexcept {
  return text.len == 0 ? std::string_view() : std::string_view(text.ptr, text.len);
}
inline rai_str str(std::string_view text) noexcept {
  return {text.data(), text.size()};
}

}  // namespace rustic::cell
