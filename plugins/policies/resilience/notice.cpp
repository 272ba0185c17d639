#include "notice.hpp"

namespace rustic::resilience {

std::string time_in_words(std::int64_t ms) {
  if (ms < 1000) return std::to_string(ms) + " ms";
  if (ms < 10'000) return std::to_string(ms / 1000) + "." + std::to_string(ms / 100 % 10) + " s";
  const auto seconds = (ms + 500) / 1000;
  if (seconds < 120) return std::to_string(seconds) + " s";
  if (seconds < 7200) return std::to_string((seconds + 30) / 60) + " min";
  return std::to_string((seconds + 1800) / 3600) + " h";
}

json::object retry_event(const std::string& target, const fault& why, std::int64_t wait_ms,
                         int attempt) {
  return {{"type", "notice"},
          {"about", "retry"},
          {"message", to_utf8(target) + ": " + to_utf8(in_words(why)) + "; again in " +
                          time_in_words(wait_ms)},
          {"target", to_utf8(target)},
          {"kind", to_utf8(why.kind)},
          {"wait_ms", wait_ms},
          {"attempt", attempt}};
}

json::object fallback_event(const std::string& from, const std::string& to, const fault& why) {
  std::string message = to_utf8(from) + ": " + to_utf8(in_words(why));
  if (why.retry_after_ms) message += ", free in " + time_in_words(*why.retry_after_ms);
  message += "; going on with " + to_utf8(to);
  return {{"type", "notice"},      {"about", "fallback"}, {"message", std::move(message)},
          {"from", to_utf8(from)}, {"to", to_utf8(to)},   {"kind", to_utf8(why.kind)}};
}
}  // namespace rustic::resilience
