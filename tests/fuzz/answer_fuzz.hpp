// answer_fuzz.hpp - for fuzz targets of providers' readers: any bytes, in any pieces, give the same
// events and the same result, or the same error.
#pragma once
#include <cstdint>
#include <cstdlib>
#include <map>
#include <rustic/provider/answer_reader.hpp>
#include <string>
#include <string_view>

namespace rustic::fuzz {

template <class Reader>
std::string answer_of(std::string_view body, std::size_t piece) {
  const provider::subject about{"generate", "p", "http://x", "m"};
  Reader reader(about, 1);
  std::map<std::pair<int, unsigned>, std::string> events;
  const auto take = [&] {
    for (std::size_t i = 0; i < reader.events().size(); ++i) {
      const rai_event event = reader.events()[i];
      events[{event.kind, event.index}] += to_view(event.text);
    }
    reader.events().clear();
  };
  while (!body.empty()) {
    const std::string_view now = body.substr(0, piece);
    body.remove_prefix(now.size());
    const bool more = reader.feed(now);
    take();
    if (!more) break;
  }
  reader.end();
  take();
  std::string out;
  for (const auto& [key, text] : events) {
    out += std::to_string(key.first) + ":" + std::to_string(key.second) + ":" + text + "\n";
  }
  return out + (reader.problem() ? error_body(*reader.problem()) : reader.result());
}

template <class Reader>
int check(const std::uint8_t* data, std::size_t bytes) {
  const std::string_view body(reinterpret_cast<const char*>(data), bytes);
  const std::string whole = answer_of<Reader>(body, bytes + 1);
  if (answer_of<Reader>(body, 1) != whole || answer_of<Reader>(body, 13) != whole) std::abort();
  return 0;
}

}  // namespace rustic::fuzz
