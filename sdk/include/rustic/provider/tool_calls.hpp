// tool_calls.hpp - puts tool calls together from the fragments of a stream, whatever the server
// leaves out: index, id, name.
#pragma once
#include <cstdint>
#include <optional>
#include <rustic/json.hpp>
#include <rustic/provider/event_batch.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace rustic::provider {

struct tool_call {
  std::optional<std::int64_t> index;  // the server's newest
  std::string id;
  std::string name;
  std::string arguments;
  json::value extra;       // what the server wants back with the call, such as a signature
  bool announced = false;  // its TOOL_CALL event has been made: the id stays as it is
};

class tool_calls {
 public:
  // id_seed makes the ids that the server did not give differ between answers.
  explicit tool_calls(std::uint64_t id_seed) : id_seed_(id_seed) {}

  // One element of a tool_calls list, or a fragment of one. False: too many calls.
  bool add(const json::object& fragment, event_batch& events);

  // A call whose name is known; the place that it got. An empty or a repeated id is replaced by a
  // new one. Nowhere: too many calls.
  std::optional<std::size_t> begin(std::string_view id, std::string_view name, event_batch& events);
  // More of its arguments.
  void append(std::size_t place, std::string_view fragment, event_batch& events);
  // Its arguments as a whole; what had come of them before is replaced, or gone on with.
  void set(std::size_t place, std::string_view arguments, event_batch& events);

  // The answer is over: calls without an id get one, empty arguments become {}. A call that is
  // a list of calls, as some models write it, becomes those.
  void finish(event_batch& events);

  // In the order of their first fragments.
  const std::vector<tool_call>& calls() const { return calls_; }
  std::size_t bytes() const { return bytes_; }

 private:
  std::size_t place_of_(const std::optional<std::int64_t>& index, std::string_view id,
                        std::string_view name);
  void announce_(std::size_t place, event_batch& events);
  void take_apart_();
  std::string new_id_(std::size_t place) const;

  std::vector<tool_call> calls_;
  std::uint64_t id_seed_;
  std::size_t bytes_ = 0;
};

}  // namespace rustic::provider
