// answer.hpp - what has come of a model's answer: its parts in their order, the events for the
// caller, usage, how it ended. Every reader of answers fills one.
#pragma once
#include <cstdint>
#include <optional>
#include <rustic/json.hpp>
#include <rustic/provider/errors.hpp>
#include <rustic/provider/event_batch.hpp>
#include <rustic/provider/tool_calls.hpp>
#include <rustic/status.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace rustic::provider {

// Input counts everything that was read, cached or not; output counts reasoning too.
struct token_counts {
  std::int64_t input = 0;
  std::int64_t output = 0;
  std::int64_t cache_read = 0;
  std::int64_t cache_write = 0;
  std::int64_t reasoning = 0;  // of the output; clamped to it
};

// stop, length, content_filter, tool_calls, error or other, for the word of any API.
std::string_view normal_finish_reason(std::string_view raw);

// What a part of an earlier answer kept for its provider, or null when it came from another
// provider or another model: then it must not be sent.
const json::object* kept_for(const json::object& part, std::string_view instance,
                             std::string_view model);

// No threads: whoever calls has it alone. Bounded: beyond limits::answer_bytes_max it fails.
class answer {
 public:
  enum class kind { text, reasoning, call };

  // The views of `about` are borrowed. id_seed makes the ids that the server did not give differ
  // between answers.
  answer(const subject& about, std::uint64_t id_seed) : about_(about), calls_(id_seed) {}

  // Text goes on with the newest part when that is of the same kind and not ended; else it opens
  // a part. The result is the part's number.
  std::size_t text(std::string_view piece);
  std::size_t think(std::string_view piece);
  // The model declines: text that is marked so.
  std::size_t refuse(std::string_view piece);
  // A part without text yet.
  std::size_t open(kind of);
  // A tool call whose name is known. An empty or a repeated id is replaced by a new one.
  std::size_t call(std::string_view id, std::string_view name);
  // A fragment of a call in the form of Chat Completions, whatever it leaves out.
  void call_fragment(const json::object& fragment);
  // The next piece of part `number`: text, reasoning or arguments.
  void more(std::size_t number, std::string_view piece);
  // The arguments of a call as a whole, for APIs that tell them again or at once.
  void set_arguments(std::size_t number, std::string_view arguments);
  // The next text opens a part of its own.
  void end_part() { ended_ = true; }
  // What the provider wants back with this part in later turns, untouched. Opens no part.
  void keep(std::size_t number, json::object opaque);
  // Reasoning first, then text, then calls: for APIs whose messages have one of each.
  void order_by_kind();

  void usage(const token_counts& counts);
  // The API's own word for why the answer ended.
  void finished(std::string_view raw) { raw_finish_ = std::string(raw); }
  // The server has paused: sent back as the last message, the answer goes on.
  void goes_on() { goes_on_ = true; }
  void id(std::string_view text);
  void model(std::string_view text);

  // The first problem counts.
  void fail(error problem);
  // The answer is over: calls get what is missing, the error gets what had come.
  void conclude();

  // The events since clear().
  event_batch& events() { return events_; }
  const std::optional<error>& problem() const { return problem_; }
  // After conclude, when there is no problem: the finish body of docs/interfaces/provider.md.
  std::string result() const;

  const subject& about() const { return about_; }
  const std::optional<std::string>& raw_finish() const { return raw_finish_; }
  bool has_id() const { return !id_.empty(); }
  bool has_calls() const { return !calls_.calls().empty(); }
  bool refused() const { return refused_; }
  bool empty() const { return parts_.empty(); }
  std::string_view text_of(std::size_t number) const;

 private:
  struct part {
    kind of;
    std::string text;
    std::size_t call = 0;  // its place among the calls
    bool refusal = false;
    std::optional<json::object> opaque;
  };

  std::size_t going_on_(kind of, bool refusal);
  void take_calls_();
  void count_(std::size_t bytes);
  json::object message_() const;
  std::string_view finish_reason_() const;

  subject about_;
  event_batch events_;
  std::vector<part> parts_;
  tool_calls calls_;
  std::optional<error> problem_;
  std::optional<json::object> usage_;
  std::optional<std::string> raw_finish_;
  std::string id_;
  std::string model_;
  std::size_t text_bytes_ = 0;
  std::size_t call_parts_ = 0;
  bool refused_ = false;
  bool ended_ = false;
  bool concluded_ = false;
  bool goes_on_ = false;
};

}  // namespace rustic::provider
