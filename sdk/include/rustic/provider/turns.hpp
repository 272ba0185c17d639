// turns.hpp - the messages of a generate request as turns of user and model, and what else the
// builders of requests need.
#pragma once
#include <optional>
#include <rustic/json.hpp>
#include <rustic/provider/instance.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace rustic::provider {

enum class speaker { system, user, assistant };

// A part of a message; `body` is borrowed from the request.
struct turn_part {
  std::string_view type;
  const json::object* body;
  bool from_system = false;  // an instruction in the middle of a conversation
};

struct turn {
  speaker who;
  std::vector<turn_part> parts;
};

// Messages that follow each other and have one speaker are one turn. The system messages in front
// of all others are the first turn; later ones are parts of the user's turns. The results of tools
// stand first in their turn, as APIs want them right behind the calls. Text that is empty is left
// out unless something is kept with it. Throws failure(INVALID_ARGUMENT) for what is no
// conversation.
std::vector<turn> read_turns(const json::object& generate);

// The text of a part; an instruction in the middle is marked as one.
std::string part_text(const turn_part& part);

// Throws failure(INVALID_ARGUMENT) "generate: ...".
[[noreturn]] void refuse_request(std::string message);
const json::object& request_object(const json::value& value, std::string_view what);

// The model of the request, or the configured one.
std::string_view model_of(const json::object& generate, const instance& where);

// The arguments of a call as the JSON text of an object, for APIs that take nothing else. What is
// no object is wrapped into one.
std::string object_arguments(std::string_view arguments);

// An id of letters, digits, _ and -; always the same for the same one.
std::string plain_id(std::string_view id);

// Nothing: it is not base64.
std::optional<std::string> decode_base64(std::string_view text);
// Whether a file of this type is text that can stand in a message.
bool is_text_type(std::string_view media_type);

// What may stand in a path of a URL; the rest is percent-encoded.
std::string url_segment(std::string_view text);

// The request with options.response_format said in words, at the end of the system message: for
// servers that take no schema. Whoever asked for the form checks the answer.
json::object form_in_words(json::object generate);

// The warning for an option that the API, or the model, does not take.
std::string left_out(const instance& where, std::string_view option);

}  // namespace rustic::provider
