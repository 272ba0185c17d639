// answer_reader.hpp - reads the answer to a generate request: bytes in, events and a result out.
// A provider derives from it and says what one event of its stream means.
#pragma once
#include <rustic/provider/answer.hpp>
#include <rustic/sse.hpp>
#include <string>
#include <string_view>

namespace rustic::provider {

enum class framing {
  events,  // text/event-stream
  lines,   // one JSON object on each line
};

// A 2xx answer, from its first byte to its end. Whether it is a stream or one JSON text is seen
// from its bytes and not from what its Content-Type says. No threads, no sockets.
class answer_reader {
 public:
  // The views of `about` are borrowed for the reader's life.
  answer_reader(const subject& about, std::uint64_t id_seed, framing how = framing::events);
  virtual ~answer_reader() = default;
  answer_reader(const answer_reader&) = delete;
  answer_reader& operator=(const answer_reader&) = delete;

  // The next bytes of the body. False: an error has been found, no more bytes are wanted.
  bool feed(std::string_view bytes);
  // The body ended. transport is what broke it, if it did not end well.
  void end(const error* transport = nullptr);

  // The events since clear(). Also `end` may add some.
  event_batch& events() { return answer_.events(); }
  // After end, or when feed said false.
  const std::optional<error>& problem() const { return answer_.problem(); }
  // After end, when there is no problem: the finish body of docs/interfaces/provider.md.
  std::string result() const { return answer_.result(); }

 protected:
  // One event of a stream (`name` is empty when it has none), or one line. An event that is named
  // "error" does not come here: it ends the answer.
  virtual void event(std::string_view name, const json::value& data) = 0;
  // The answer in one piece.
  virtual void whole(const json::value& body) = 0;
  // Whether what has come is all that belongs to an answer. An answer that ends before is an error.
  virtual bool complete() const = 0;
  // The same where the connection broke: for APIs whose mark of the end may come before the end.
  virtual bool complete_when_cut() const { return complete(); }
  // An event with the text [DONE], which is no JSON.
  virtual void done_mark() {}
  // Before the result is made: the last chance to keep something or to fail.
  virtual void closing() {}

  // An error object in the middle of an answer.
  void fail_with(const json::value& error_body);
  // What came is not what the API promises. `body` is shown in part.
  void malformed(std::string_view why, std::string_view body = {});
  // No more events are read.
  void stop_reading() { stopped_ = true; }

  answer answer_;

 private:
  enum class form { unknown, stream, whole };

  bool parse_(std::string_view text, json::storage_ptr memory, json::value& out);
  void sse_event_(std::string_view name, std::string_view data);
  void lines_(std::string_view bytes);
  void line_(std::string_view line);
  bool keep_whole_(std::string_view bytes);
  void end_whole_();
  void end_stream_(const error* transport);

  const framing how_;
  form form_ = form::unknown;
  sse_parser sse_;
  json::parser parser_;
  std::string held_;  // the whole answer, or the line that is not whole yet
  bool line_seen_ = false;
  bool stopped_ = false;
  bool ended_ = false;
};

// Whether a member says something: not null, false, "" or {}.
bool says_something(const json::value* value);

// About the bytes that a value takes, for counting what is kept.
std::size_t bytes_of(const json::value& value);
std::size_t bytes_of(const json::object& object);

}  // namespace rustic::provider
