#include "ollama.hpp"

#include <rustic/status.hpp>
#include <utility>

#include "reader.hpp"

namespace rustic::ollama {
namespace {

// What Ollama takes by itself on small machines.
constexpr std::size_t usual_window_tokens = 4'096;

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

provider::instance read(std::string_view name, const json::object& members) {
  provider::instance out =
      provider::read_instance(name, members, {.base_url = "http://127.0.0.1:11434"});
  // Addresses of the other forms of its API are often at hand.
  for (const std::string_view end : {"/v1", "/api"}) {
    if (out.base_url.ends_with(end)) out.base_url.resize(out.base_url.size() - end.size());
  }
  return out;
}

settings read_settings(std::string_view name, const json::object& members) {
  settings out;
  out.context_window = int_or(members, "context_window");
  if (out.context_window < 0) provider::refuse_member(name, "context_window", "is negative");
  if (const json::value* keep = find(members, "keep_alive")) out.keep_alive = *keep;
  return out;
}

think_form form_of(std::string_view learnt) {
  if (learnt == "never") return think_form::never;
  return learnt == "on_or_off" ? think_form::on_or_off : think_form::level;
}

}  // namespace

chat::chat(std::string_view name, const json::object& members)
    : translator(read(name, members)), settings_(read_settings(name, members)) {}

provider::outgoing chat::generate(const json::object& request) {
  const think_form form = form_of(learnt_.get(text_or(request, "model")));
  provider::outgoing sent = build_request(configured(), settings_, form, request);
  const bool told = settings_.context_window > 0 || configured().is_at("ollama.com") ||
                    object_or_empty(configured().body, "options").contains("num_ctx");
  if (!told && provider::estimate_tokens(request) > usual_window_tokens) {
    sent.warnings.push_back("provider '" + configured().name +
                            "': the conversation may be longer than the server's own context "
                            "window, and Ollama cuts it without a word: set context_window");
  }
  return sent;
}

std::unique_ptr<provider::answer_reader> chat::reader(const provider::subject& about,
                                                      std::uint64_t id_seed) {
  return std::make_unique<line_reader>(about, id_seed);
}

bool chat::reconsider(const provider::refused_attempt& attempt) {
  if (attempt.http_status != 400 || !contains(attempt.sent.body, "\"think\":")) return false;
  const std::string message = provider::parse_error(attempt.body).message;
  const std::string_view model = text_or(attempt.request, "model");
  const think_form form = form_of(learnt_.get(model));
  if (contains(message, "does not support thinking") && form != think_form::never) {
    learnt_.set(model, "never");
    return true;
  }
  // Most models only think or do not.
  if (contains(message, "think") && form == think_form::level) {
    learnt_.set(model, "on_or_off");
    return true;
  }
  return false;
}

provider::outgoing chat::models(std::string_view) {
  return {.path = "/api/tags"};
}

std::string chat::read_models(const provider::subject& about, std::string_view body,
                              json::array& models) {
  const json::object answer = provider::read_answer_object(about, body);
  for (const json::value& value : array_or_empty(answer, "models")) {
    if (!value.is_object()) continue;
    const json::object& model = value.as_object();
    const std::string_view id = text_or(model, "name", text_or(model, "model"));
    if (id.empty()) continue;
    json::object one{{"id", id}};
    if (settings_.context_window > 0) one["context_window"] = settings_.context_window;
    models.push_back(std::move(one));
  }
  return {};
}

provider::outgoing chat::embed(const json::object& request) {
  json::object body{{"model", text_or(request, "model")},
                    {"input", array_or_empty(request, "inputs")}};
  return {.path = "/api/embed", .body = json::serialize(body)};
}

json::object chat::read_embeddings(const provider::subject& about, std::string_view body,
                                   const json::object& request) {
  const json::object answer = provider::read_answer_object(about, body);
  const json::array& embeddings = array_or_empty(answer, "embeddings");
  const std::size_t inputs = array_or_empty(request, "inputs").size();
  bool good = embeddings.size() == inputs;
  for (const json::value& one : embeddings) good = good && one.is_array();
  if (!good) {
    throw failure(provider::unreadable_answer(
        about, "the server gave " + std::to_string(embeddings.size()) + " embeddings for " +
                   std::to_string(inputs) + " inputs"));
  }
  json::object out{{"embeddings", embeddings}, {"usage", nullptr}};
  if (const auto tokens = int_or(answer, "prompt_eval_count"); tokens > 0) {
    out["usage"] = json::object{{"input_tokens", tokens}};
  }
  return out;
}

provider::classifier chat::classify() const {
  return classify_error;
}

std::string_view chat::unreachable_hint() const {
  return "start Ollama with `ollama serve`, or set base_url (or OLLAMA_HOST) to where it runs";
}

provider::verdict classify_error(int http_status, const provider::parsed_error& parsed) {
  const std::string_view message = parsed.message;
  if (contains(message, "model") && contains(message, "not found")) {
    return {status_code::not_found, "model_not_found",
            "fetch it with `ollama pull` and the name of the model, or choose one that "
            "`rustic-ai models` lists"};
  }
  if (contains(message, "does not support tools")) {
    return {status_code::invalid_argument, "bad_request",
            "choose a model that can call tools, or work without tools"};
  }
  if (contains(message, "more system memory") || contains(message, "out of memory")) {
    return {status_code::failed_precondition, "bad_request",
            "choose a smaller model or a smaller context_window"};
  }
  return provider::classify_error(http_status, parsed);
}

}  // namespace rustic::ollama
