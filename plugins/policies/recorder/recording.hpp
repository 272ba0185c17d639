// plugins/policies/recorder/recording.hpp - recordings: a file of exchanges, each found again by
// its place in the run.
//
// JSON lines. The first is {"rustic_recording": 1}. Each other one is an exchange:
// {"key", "events": [[kind, index, a, b, text], ...], "status", "body"}; a text that is not UTF-8
// is
// ["base64", TEXT]. The key is the place in the run and not the content: the target, the method,
// who asks in which session, and how many such calls came before; a tool call is counted by its id,
// because calls that run side by side come in any order. What a provider is asked is not kept, and
// neither are headers or keys: they stand below the calls that are recorded.
#pragma once
#include <rustic/abi.h>

#include <map>
#include <mutex>
#include <rustic/status.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace rustic::recorder {

struct recorded_event {
  std::uint16_t kind = 0;
  std::uint32_t index = 0;
  std::uint64_t a = 0, b = 0;
  std::string text;
};

struct exchange {
  std::string key;
  std::vector<recorded_event> events;
  std::int32_t status = 0;
  std::string body;
};

// What makes up a place, as the call's context and body name it. Empty members are left out.
struct asked {
  std::string_view target;
  std::string_view method;
  std::string_view agent;
  std::string_view session;  // sessions side by side do not count for each other
  std::string_view call_id;  // of a tool call, and of what is asked for one
};

// Gives each call its place. Threads: any.
class places {
 public:
  std::string next(const asked& what);

 private:
  std::mutex mutex_;
  std::map<std::string, std::uint64_t, std::less<>> counts_;
};

// Writes a new file (0600). Threads: any. Throws failure: ALREADY_EXISTS, UNAVAILABLE.
class writer {
 public:
  explicit writer(const std::string& file);
  ~writer();
  writer(const writer&) = delete;
  writer& operator=(const writer&) = delete;
  // In the file when this returns. Throws failure(RESOURCE_EXHAUSTED) when the file is full.
  void add(const exchange& one);

 private:
  void put(std::string_view text);  // whole, or not at all

  const std::string file_;
  int descriptor_ = -1;
  std::mutex mutex_;
  std::size_t bytes_ = 0;
  bool broken_ = false;
};

// A whole recording in memory, immutable. Throws failure that names the file: FAILED_PRECONDITION
// for a newer format, DATA_LOSS for what is no recording or was damaged.
class recording {
 public:
  explicit recording(const std::string& file);
  // Null when the recording has no such exchange.
  const exchange* find(std::string_view key) const;
  std::size_t size() const noexcept { return exchanges_.size(); }
  // The file ends in the middle of an exchange, which is left out.
  bool torn() const noexcept { return torn_; }

 private:
  bool torn_ = false;
  std::map<std::string, exchange, std::less<>> exchanges_;
};

std::string to_line(const exchange& one);
// Throws failure(DATA_LOSS).
exchange from_line(std::string_view line);
}  // namespace rustic::recorder
