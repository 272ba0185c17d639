// Every bound of the HTTP transport, with its unit and its reason.
#pragma once
#include <chrono>
#include <cstddef>

namespace rustic::http::limits {

using std::chrono::milliseconds;
using std::chrono::seconds;

// One DATA piece, and one read from a socket.
inline constexpr std::size_t piece_bytes_max = 64 * 1024;
// Status line and headers of one answer; the read buffer grows up to this for them.
inline constexpr std::size_t head_bytes_max = 256 * 1024;
inline constexpr std::size_t head_fields_max = 1000;
// The line before a chunk, and the trailer after the last one.
inline constexpr std::size_t chunk_frame_bytes_max = 16 * 1024;
static_assert(chunk_frame_bytes_max < piece_bytes_max);
// 100, 102 and 103 answers before the real one.
inline constexpr int informational_answers_max = 16;

inline constexpr std::size_t url_bytes_max = 16 * 1024;
inline constexpr std::size_t request_head_bytes_max = 256 * 1024;
inline constexpr std::size_t request_body_bytes_max = 256 * 1024 * 1024;
inline constexpr int redirects_default = 5;
inline constexpr int redirects_max = 20;

// Requests of one client that run or wait for a connection.
inline constexpr std::size_t requests_max = 1024;
inline constexpr std::size_t connections_per_origin_default = 64;
inline constexpr std::size_t connections_per_origin_max = 1024;
inline constexpr std::size_t idle_connections_per_origin_max = 8;
inline constexpr std::size_t idle_connections_max = 64;
// Shorter than the keep-alive time of common servers and of the tables of common NAT devices.
inline constexpr seconds idle_connection_age_max{60};
// A request that is not idempotent is repeated on a fresh connection only when the pooled one
// failed this soon: a server that had begun to work on it would have answered or died later.
inline constexpr seconds stale_failure_window{2};

inline constexpr std::size_t addresses_max = 16;
// RFC 8305 names 250 ms between connection attempts.
inline constexpr milliseconds attempt_stagger{250};
// Sent bytes that nobody acknowledges for this long mean a dead path.
inline constexpr seconds unacknowledged_max{20};
inline constexpr int keepalive_idle_s = 30;
inline constexpr int keepalive_interval_s = 10;
inline constexpr int keepalive_probes = 3;
static_assert(unacknowledged_max < seconds(keepalive_idle_s));

inline constexpr std::size_t resolver_threads_max = 4;
inline constexpr std::size_t resolver_queue_max = requests_max;

inline constexpr std::size_t tls_sessions_max = 64;

// Keys of local servers may be any word; hiding those would garble what the server says.
inline constexpr std::size_t hidden_secret_bytes_min = 8;

inline constexpr milliseconds connect_timeout_default{20'000};
// Reasoning models are silent for minutes before the first byte and between two bytes.
inline constexpr milliseconds first_byte_timeout_default{900'000};
inline constexpr milliseconds idle_timeout_default{900'000};
// Longer times are taken as this one.
inline constexpr milliseconds timeout_max{24 * 3600 * 1000};

}  // namespace rustic::http::limits
