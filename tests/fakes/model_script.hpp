// model_script.hpp - what the fake model answers: steps, their JSON form, and the bytes they make.
#pragma once
#include <boost/json.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rustic::fakes {

struct scripted_call {
  std::string name;
  std::string arguments = "{}";  // as the model writes it: may be malformed
  std::string id;                // empty: call_<request>_<place>
};

enum class framing { chunked, length, until_close };

// One answer. Members that are left alone have no effect. In JSON each member has the same name;
// `text` and `reasoning` may also be one text, `arguments` and `body` may be objects, `cut` is
// "close" or "reset".
struct step {
  // Which requests it answers, and how many of them (0: all that come).
  std::string path = "/chat/completions";  // the end of the request's path
  std::string match;                       // must stand in the request's body
  std::size_t times = 1;

  // What the model says.
  std::vector<std::string> text;  // one event each
  std::size_t repeat = 1;         // how often the texts are said
  std::vector<std::string> reasoning;
  std::vector<scripted_call> tool_calls;
  std::size_t argument_bytes = 16;  // of one fragment of arguments; 0: all at once
  std::string finish_reason;        // empty: tool_calls or stop
  boost::json::object usage;        // empty: counted from the request's and the answer's bytes
  bool no_usage = false;
  bool no_finish = false;  // leaves out the finish reason
  bool no_done = false;    // leaves out [DONE]
  bool malformed = false;  // an event that is not JSON, before the finish

  // Instead of the above: this body as it is.
  std::optional<std::string> body;
  int status = 200;
  std::string content_type;  // empty: what fits
  std::vector<std::pair<std::string, std::string>> headers;

  // How it is sent. Bytes are those of the body, before the framing of HTTP, after gzip.
  framing frame = framing::chunked;  // of streams; bodies in one piece have their length
  bool gzip = false;
  bool close = false;               // the connection is not kept
  std::size_t write_bytes = 0;      // of one write; 0: as much as there is
  std::int64_t delay_ms = 0;        // before the first byte
  std::int64_t piece_delay_ms = 0;  // between two events
  bool stall_before_head = false;   // waits for release()
  std::optional<std::size_t> stall_after_events;
  std::optional<std::size_t> cut_after_bytes;
  bool reset = false;  // cuts with RST and not with FIN

  // A model that calls one tool `rounds` times and then says its text: told by the number of tool
  // results behind the last user message, so that any number of conversations can be going on.
  struct tool_loop {
    scripted_call call;
    std::size_t rounds = 1;
    std::size_t calls = 1;  // in each round, side by side
  };
  std::optional<tool_loop> loop;

  static step saying(std::string words);
  static step calling(std::string name, std::string arguments);
  static step failing(int status, std::string body);
  static step looping(std::string tool, std::string arguments, std::size_t rounds,
                      std::string words);
};

struct script {
  std::vector<step> steps;
  boost::json::array models;  // for GET .../models; empty: one model, fake-model
};

// {"steps": [...], "models": [...]} or a list of steps. Throws std::runtime_error that names the
// step and the member.
script parse_script(std::string_view text);

// The answer to one request: the pieces of the body, in a stream one event each.
struct rendered {
  int status = 200;
  std::string content_type;
  std::vector<std::string> pieces;
  bool stream = false;
};

// number is the request's, and makes ids. body is the request's.
rendered render(const step& one, std::size_t number, std::string_view body);

}  // namespace rustic::fakes
