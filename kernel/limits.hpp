// Every bound of the kernel, with its unit and its reason.
#pragma once
#include <cstddef>
#include <cstdint>

namespace rustic::kernel {

// Calls.

/// Live calls of one kernel, tombstones of abandoned ones included. A call costs about 600 bytes
/// beside its queue: 40 MB at the limit. A program that gets there loops.
inline constexpr std::size_t max_live_calls = 65'536;

/// Slots that are allocated together: 150 KB, so that a small program stays small.
inline constexpr std::size_t slots_per_chunk = 256;

/// Free slots that one shard keeps for its threads before it gives half of them back.
inline constexpr std::size_t max_shard_slots = 128;

/// Depth of a tree of calls, one for each hop. A delegation from agent to agent costs about
/// twelve (engine, tool, four interceptors before each): ten nested delegations.
inline constexpr std::uint32_t max_call_depth = 128;

/// Events that wait in one call while its caller has paused or is busy with an earlier one.
inline constexpr std::size_t max_backlog_events = 1'024;
/// The same in bytes of text. What goes over cancels the call.
inline constexpr std::size_t max_backlog_bytes = std::size_t{1} << 20;

/// A shielded call outlives the cancellation of its parent for at most this long: the time to
/// store what a cancelled turn has done.
inline constexpr std::uint32_t max_shield_ms = 10'000;

/// Between the cancel of a call and its abandonment, unless the options say otherwise.
inline constexpr std::uint32_t default_grace_ms = 2'000;

/// Callers that wait for one service to be activated. Each holds a copy of its request.
inline constexpr std::size_t max_parked_calls = 4'096;
/// The same in bytes of requests.
inline constexpr std::size_t max_parked_bytes = std::size_t{64} << 20;

/// A context is inherited by reference and read by policies at every call: it stays small.
inline constexpr std::size_t max_context_bytes = std::size_t{64} << 10;

/// Entries of finished calls in the queue of deadlines before they are swept out.
inline constexpr std::size_t min_stale_deadlines = 1'024;

// Registry.

/// "interface/name". Names go into messages and paths.
inline constexpr std::size_t max_target_bytes = 256;

/// Targets of one kernel. Ten times a very large set of tools.
inline constexpr std::size_t max_targets = 16'384;

/// Aliases that lead to aliases. More is a cycle or a mistake.
inline constexpr std::size_t max_alias_hops = 8;

/// Rules for interceptors and guards; each is looked at when a route is built.
inline constexpr std::size_t max_rules = 256;

/// Names that are compared to find the one that the caller may have meant.
inline constexpr std::size_t max_suggestion_candidates = 4'096;

/// Watchers of the registry; each is called for each change.
inline constexpr std::size_t max_watchers = 256;

// Bus.

/// Subscriptions of one bus; an event looks at each.
inline constexpr std::size_t max_subscriptions = 4'096;

/// Handlers that publish from handlers, on one thread. More is an endless echo.
inline constexpr std::uint32_t max_publish_depth = 16;

// Locks.

/// Shards of a reader lock, one cache line each. A power of two; two cores need two, and threads
/// that meet in one only wait for each other.
inline constexpr std::size_t lock_shards = 8;
inline constexpr std::size_t cache_line_bytes = 64;

}  // namespace rustic::kernel
