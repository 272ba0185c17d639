// sse.hpp - an incremental parser of event streams (text/event-stream, WHATWG grammar).
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>

namespace rustic {

// One event may hold this many bytes, one unfinished line included.
inline constexpr std::size_t sse_frame_bytes_max = std::size_t{16} << 20;
// Of text that is no event at all this much is kept for sse_parser::leftover().
inline constexpr std::size_t sse_leftover_bytes_max = std::size_t{64} << 10;

// Feed it the body in pieces of any size; it calls back for each whole event. Lines end with LF, CR
// or CRLF; a byte order mark, comments, `retry` and unknown fields are taken as the grammar says.
// Bytes are handed on as they came: nothing checks that they are UTF-8.
//
// Two things that servers send inside a stream although they are no events are not lost:
//   a field named `error` is handed over at once as an event named "error" with its value as data;
//   lines that are no field at all (a bare JSON object, HTML, plain words) are kept in leftover().
//
// An event is not copied when it lies whole within one piece and has one data line. One stream, one
// parser, one thread at a time.
class sse_parser {
 public:
  // The views are valid until the callback returns.
  struct event_view {
    std::string_view event;  // empty: the grammar's default, "message"
    std::string_view data;   // several data lines are joined with LF
    std::string_view id;     // the last id that the stream gave
  };

  explicit sse_parser(std::size_t frame_bytes_max = sse_frame_bytes_max)
      : frame_bytes_max_(frame_bytes_max) {}

  // Calls handler(const event_view&) for each event that the bytes complete. The handler must not
  // call back into the parser. False when an event is larger than allowed: what follows is ignored.
  template <class Handler>
  bool feed(std::string_view bytes, Handler&& handler) {
    return feed_(bytes, sink_of_(handler));
  }

  // The input ended: takes the last line even if it has no line end. The event that it may leave
  // open is not handed over; its data is in undispatched().
  template <class Handler>
  bool finish(Handler&& handler) {
    return finish_(sink_of_(handler));
  }

  // After finish: the data of the event that had no blank line after it. The grammar drops it; a
  // caller may take it if it is whole by the caller's own measure.
  std::string_view undispatched() const { return has_data_ ? data_view_ : std::string_view{}; }
  std::string_view undispatched_event() const { return event_view_; }

  // The lines that were no event, joined with LF, up to sse_leftover_bytes_max.
  std::string_view leftover() const { return leftover_; }

  // Whether some event was larger than allowed.
  bool too_large() const { return too_large_; }

  // Comments are a sign of life that gives no event.
  std::uint64_t comments() const { return comments_; }

  // What the last valid `retry` field said, or -1.
  std::int64_t retry_ms() const { return retry_ms_; }

 private:
  struct sink {
    void* self;
    void (*call)(void* self, const event_view& event);
  };

  template <class Handler>
  static sink sink_of_(Handler& handler) {
    using plain = std::remove_const_t<Handler>;
    return {const_cast<plain*>(std::addressof(handler)),
            [](void* self, const event_view& event) { (*static_cast<Handler*>(self))(event); }};
  }

  bool feed_(std::string_view bytes, sink out);
  bool finish_(sink out);
  void line_(std::string_view line, sink out);
  void data_line_(std::string_view value);
  void dispatch_(sink out);
  void keep_leftover_(std::string_view line);
  void own_views_();
  bool fits_(std::size_t more);

  std::size_t frame_bytes_max_;
  // The line that the last piece left unfinished. While a piece is parsed the views may point into
  // it and into the piece; between calls they point into data_ and event_ alone.
  std::string partial_;
  std::string data_;
  std::string event_;
  std::string id_;
  std::string leftover_;
  std::string_view data_view_;
  std::string_view event_view_;
  std::uint64_t comments_ = 0;
  std::int64_t retry_ms_ = -1;
  std::size_t mark_seen_ = 0;  // bytes of the byte order mark seen; mark_done when decided
  bool has_data_ = false;
  bool data_owned_ = false;
  bool skip_lf_ = false;
  bool too_large_ = false;
};

}  // namespace rustic
