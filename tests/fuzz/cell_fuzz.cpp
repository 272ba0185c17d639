// tests/fuzz/cell_fuzz.cpp - the frames that a child in a cell sends, taken apart as the program
// does it.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "flow_window.hpp"
#include "frame.hpp"

using namespace rustic::cell;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  std::string_view left(reinterpret_cast<const char*>(data), bytes);
  frame_buffer buffer;
  receive_window in;
  send_window out;
  std::size_t sum = 0;
  while (!left.empty()) {
    const auto room = buffer.room();
    const auto part = std::min({room.size(), left.size(), std::size_t{41}});
    std::memcpy(room.data(), left.data(), part);
    buffer.received(part);
    left.remove_prefix(part);
    for (frame next;;) {
      const auto found = buffer.next(next);
      if (found == frame_buffer::found::broken) return 0;
      if (found == frame_buffer::found::partial) break;
      rai_event event{};
      if (get_event(next.payload, event) && in.came(event.text.len)) {
        if (in.took(event.text.len)) sum += in.give().events;
        out.sent(event.text.len);
      }
      frame_reader request(next.payload);
      const rai_request asked = get_request(request);
      for (const auto text : {asked.target, asked.method, asked.body, asked.data, asked.context})
        for (const char c : view(text)) sum += static_cast<unsigned char>(c);
      frame_reader fields(next.payload);
      out.taken({fields.u32(), fields.u64()});
      sum += fields.text().size() + fields.rest().size() + (fields.whole() ? 1 : 0);
    }
  }
  volatile std::size_t kept = sum;
  (void)kept;
  return 0;
}
