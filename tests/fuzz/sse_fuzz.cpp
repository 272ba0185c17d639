// tests/fuzz/sse_fuzz.cpp - the event stream parser: any bytes, in any pieces, give the same
// events.
#include <cstdint>
#include <cstdlib>
#include <rustic/sse.hpp>
#include <string>
#include <string_view>

namespace {
std::string events_of(std::string_view text, std::size_t piece) {
  std::string out;
  const auto keep = [&](const rustic::sse_parser::event_view& event) {
    out += std::string(event.event) + "\x1f" + std::string(event.data) + "\x1e";
  };
  rustic::sse_parser parser;
  while (!text.empty()) {
    const auto now = text.substr(0, piece);
    parser.feed(now, keep);
    text.remove_prefix(now.size());
  }
  parser.finish(keep);
  return out;
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  const std::string_view text(reinterpret_cast<const char*>(data), bytes);
  const auto whole = events_of(text, bytes + 1);
  if (events_of(text, 1) != whole || events_of(text, 7) != whole) std::abort();
  return 0;
}
