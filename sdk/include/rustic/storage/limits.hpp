// limits.hpp - what a request to any storage backend may ask for, and how much one answer may hold.
#pragma once
#include <cstddef>
#include <cstdint>

namespace rustic::storage {
inline constexpr std::size_t request_bytes_max = std::size_t{256} << 20;
inline constexpr std::size_t item_bytes_max = std::size_t{64}
                                              << 20;   // one message, record or value
inline constexpr std::size_t name_bytes_max = 512;     // ids, keys, streams, scopes, leases, owners
inline constexpr std::size_t field_bytes_max = 65536;  // title, agent, workspace
inline constexpr std::size_t role_bytes_max = 64;
inline constexpr std::size_t items_per_append_max = 10'000;
inline constexpr std::size_t operations_per_apply_max = 1'000;

inline constexpr std::int64_t rows_default = 1'000;  // when a request names no limit
inline constexpr std::int64_t rows_max = 100'000;
inline constexpr std::int64_t answer_bytes_default = std::int64_t{16} << 20;
inline constexpr std::int64_t answer_bytes_max = std::int64_t{256} << 20;

inline constexpr std::size_t query_bytes_max = 1'024;
inline constexpr std::int64_t hits_default = 50;
inline constexpr std::int64_t hits_max = 1'000;
inline constexpr std::size_t snippet_bytes_each_side = 80;

inline constexpr std::int64_t lease_ttl_ms_max = std::int64_t{24} * 3600 * 1000;
inline constexpr std::int64_t history_size_default = 100'000;  // messages of one session
// Positions pack a session's or stream's number and a seq into 63 bits.
inline constexpr std::int64_t seq_max = (std::int64_t{1} << 32) - 1;

static_assert(item_bytes_max * 4 <= request_bytes_max);
static_assert(answer_bytes_max >= static_cast<std::int64_t>(item_bytes_max));
}  // namespace rustic::storage
