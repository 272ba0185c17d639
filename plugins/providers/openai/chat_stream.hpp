// chat_stream.hpp - reads the answer of a chat server, an event stream or one JSON object, and
// turns it into events and a message.
#pragma once
#include <cstdint>
#include <optional>
#include <rustic/json.hpp>
#include <rustic/sse.hpp>
#include <rustic/status.hpp>
#include <string>
#include <string_view>

#include "chat_error.hpp"
#include "event_batch.hpp"
#include "tool_calls.hpp"

namespace rustic::openai {

// A 2xx answer, from its first byte to its end. Whether it is a stream is seen from its bytes and
// not from what its Content-Type says. No threads, no sockets.
class chat_stream {
public:
  // The views of `about` are borrowed for the stream's life.
  chat_stream(const subject& about, std::uint64_t id_seed);

  // The next bytes of the body. False: an error has been found, no more bytes are wanted.
  bool feed(std::string_view bytes);

  // The body ended. transport is what broke it, if it did not end well.
  void end(const error* transport = nullptr);

  // The events since clear(). Also `end` may add some.
  event_batch& events() { return events_; }

  // After end, or when feed said false.
  const std::optional<error>& problem() const { return problem_; }
  // After end, when there is no problem: the finish body of docs/interfaces/provider.md.
  std::string result();

private:
  enum class form { unknown, stream, whole };

  void event_(const sse_parser::event_view& event);
  bool parse_(std::string_view text, json::storage_ptr memory, json::value& out);
  void chunk_(const json::object& chunk);
  void choice_(const json::object& choice);
  void delta_(const json::object& delta);
  void content_(const json::value& content);
  void reasoning_(const json::object& delta);
  void reasoning_detail_(const json::object& detail);
  void usage_(const json::object& usage);
  void text_(std::string_view piece);
  void think_(std::string_view piece);
  void end_whole_();
  void end_stream_(const error* transport);
  void conclude_();
  void fail_(error problem);
  json::object message_() const;
  std::string_view finish_reason_() const;

  subject about_;
  form form_ = form::unknown;
  sse_parser sse_;
  json::parser parser_;
  std::string whole_;
  event_batch events_;
  std::optional<error> problem_;

  std::string text_all_;
  std::string reasoning_all_;
  std::string reasoning_field_;
  json::array reasoning_details_;
  tool_calls calls_;
  std::string id_;
  std::string model_;
  std::optional<std::string> raw_finish_;
  std::optional<json::object> usage_all_;
  bool refused_ = false;
  bool done_mark_ = false;
  bool concluded_ = false;
};

}  // namespace rustic::openai
