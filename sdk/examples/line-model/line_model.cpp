#include "line_model.hpp"

#include <rustic/provider/turns.hpp>

namespace line_model_plugin {
using namespace rustic;

provider::outgoing translator::generate(const json::object& request) {
  provider::outgoing out{.path = "/generate"};
  json::array messages;
  for (const auto& turn : provider::read_turns(request)) {
    std::string text;
    for (const auto& part : turn.parts) {
      if (part.type != "text")
        provider::refuse_request("this model reads text alone, and no " + std::string(part.type));
      text += provider::part_text(part);
    }
    const char* role = turn.who == provider::speaker::system ? "system"
                       : turn.who == provider::speaker::user ? "user"
                                                             : "assistant";
    messages.push_back(json::object{{"role", role}, {"text", text}});
  }
  json::object body{{"model", text_or(request, "model")}, {"messages", std::move(messages)}};
  // Of the options this API has one. What is left out is told to whoever asked for it.
  for (const auto& [option, value] : object_or_empty(request, "options")) {
    if (option == "max_tokens")
      body["max_tokens"] = value;
    else
      out.warnings.push_back(provider::left_out(configured(), option));
  }
  if (!array_or_empty(request, "tools").empty())
    out.warnings.push_back(provider::left_out(configured(), "tools"));
  out.body = json::serialize(body);
  return out;
}

std::unique_ptr<provider::answer_reader> translator::reader(const provider::subject& about,
                                                            std::uint64_t id_seed) {
  return std::make_unique<line_model_plugin::reader>(about, id_seed);
}

void reader::event(std::string_view, const json::value& line) {
  const auto& object = line.as_object();
  if (provider::says_something(find(object, "error"))) return fail_with(line);
  answer_.text(text_or(object, "text"));
  const auto done = text_or(object, "done");
  if (done.empty()) return;
  done_ = true;
  answer_.finished(done);
  answer_.usage(
      {.input = int_or(object, "input_tokens"), .output = int_or(object, "output_tokens")});
  stop_reading();
}

// An answer of a single line, or no JSON lines at all.
void reader::whole(const json::value& body) {
  if (body.is_object())
    event({}, body);
  else
    malformed("the server's answer is no object");
}

provider::outgoing translator::models(std::string_view) {
  return {.path = "/models"};
}

std::string translator::read_models(const provider::subject& about, std::string_view body,
                                    json::array& models) {
  const auto answer = provider::read_answer_object(about, body);
  for (const auto& id : array_or_empty(answer, "models"))
    if (id.is_string()) models.push_back(json::object{{"id", id}});
  return {};  // there is no further page
}
}  // namespace line_model_plugin
