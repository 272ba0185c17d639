// plugins/engines/conversation/limits.hpp - the numbers a conversation may not exceed.
#pragma once
#include <cstddef>
#include <cstdint>

namespace rustic::conversation {
inline constexpr std::size_t context_bytes_default = 512u * 1024;
inline constexpr std::size_t context_bytes_max = 64u << 20;
inline constexpr std::int64_t page_messages = 200;  // one read of storage
inline constexpr std::int64_t list_sessions_default = 20;
inline constexpr std::int64_t list_sessions_max = 1000;
inline constexpr std::size_t prefix_chars_min = 4;           // of a shortened session id
inline constexpr std::int64_t prefix_sessions_max = 10'000;  // looked through for a prefix
inline constexpr std::size_t title_chars_max = 80;
inline constexpr std::int64_t repair_messages_max =
    400;  // looked at, from the newest, for open calls
}  // namespace rustic::conversation
