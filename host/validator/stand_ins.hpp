// host/validator/stand_ins.hpp - the services that a plugin under test finds: clock, ids, secrets,
// a question desk, and an HTTP client that plays a transcript.
#pragma once
#include <rustic/abi.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace rustic::validator {

// One step of what a stand-in answers: an event, or the finish that ends it.
struct reply_step {
  bool is_finish = false;
  std::uint16_t kind = 0;
  std::uint64_t a = 0;
  rai_status status = RAI_OK;
  std::string text;
};
using reply = std::vector<reply_step>;

struct asked {
  std::string target;
  std::string method;
  std::string body;
  std::string data;
  bool is_next = false;  // the rest of an interceptor's chain
};

// What one HTTP exchange answers.
struct transcript {
  std::string_view name;
  int status = 200;
  std::string_view content_type = "text/event-stream";
  std::string_view body;
  bool is_cut = false;  // the connection breaks after the body
};

// Small exchanges with a server that speaks OpenAI Chat Completions.
namespace transcripts {
extern const transcript plain;      // says "Hello there."
extern const transcript tool_call;  // calls `look` with {"at":"sky"}
extern const transcript rate_limit;
extern const transcript server_error;
extern const transcript cut;        // breaks in the middle of the answer
extern const transcript malformed;  // an event that is not JSON
extern const transcript empty_choices;
}  // namespace transcripts

class stand_ins {
 public:
  // No service at all: what a plugin `requires` is missing too.
  bool is_empty = false;
  const transcript* http = &transcripts::plain;
  std::size_t http_piece_bytes = 4096;  // how the body is cut into events

  // Secrets that plugins get and must not tell: for every reference of rustic.secret.
  static constexpr std::string_view secret = "canary-7d1f0b6ce5-secret";

  // Whether a service of that name is offered.
  bool offers(std::string_view target) const;
  std::vector<std::string> targets() const;
  reply answer(const asked& call) const;
};
}  // namespace rustic::validator
