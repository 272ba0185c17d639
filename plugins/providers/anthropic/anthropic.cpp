#include "anthropic.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <rustic/provider/turns.hpp>
#include <rustic/status.hpp>
#include <utility>

#include "reader.hpp"

namespace rustic::anthropic {
namespace {

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

provider::instance read(std::string_view name, const json::object& members) {
  const bool bearer =
      provider::choice_member(name, members, "auth", {"api_key", "bearer"}) == "bearer";
  provider::instance out = provider::read_instance(
      name, members,
      {.base_url = "https://api.anthropic.com",
       .key_header = bearer ? std::string_view("Authorization") : std::string_view("x-api-key"),
       .key_prefix = bearer ? std::string_view("Bearer ") : std::string_view()});
  // The paths begin with /v1, and people write the address with it and without it.
  if (out.base_url.ends_with("/v1")) out.base_url.resize(out.base_url.size() - 3);
  return out;
}

// Errors inside a stream have no status of their own.
int status_of(std::string_view type) {
  constexpr std::array<std::pair<std::string_view, int>, 10> known{{
      {"invalid_request_error", 400},
      {"authentication_error", 401},
      {"billing_error", 402},
      {"permission_error", 403},
      {"not_found_error", 404},
      {"request_too_large", 413},
      {"rate_limit_error", 429},
      {"api_error", 500},
      {"timeout_error", 504},
      {"overloaded_error", 529},
  }};
  for (const auto& [name, status] : known) {
    if (name == type) return status;
  }
  return 0;
}

// "max_tokens: 64000 > 8192, which is the maximum allowed number of output tokens for ..."
std::int64_t told_maximum(std::string_view message) {
  if (!contains(message, "max_tokens") || !contains(message, "maximum allowed")) return 0;
  const std::size_t at = message.find('>');
  if (at == std::string_view::npos) return 0;
  message.remove_prefix(at + 1);
  message.remove_prefix(std::min(message.find_first_not_of(' '), message.size()));
  std::int64_t number = 0;
  std::from_chars(message.data(), message.data() + message.size(), number);
  return number;
}

// The first thing that was sent, may be left out or said differently, and is what the server means.
std::string_view refused_member(std::string_view message, std::string_view sent) {
  const auto has = [&](std::string_view text) { return contains(sent, text); };
  const bool adaptive = has(R"("thinking":{"type":"adaptive")");
  const bool budget = has(R"("thinking":{"type":"enabled","budget_tokens")");
  if (contains(message, "display") && has(R"("display":"summarized"})")) return "display";
  if (contains(message, "effort") && has(R"("output_config":{"effort")")) return "effort";
  if (contains(message, "output_config") || contains(message, "output_format") ||
      contains(message, "json_schema") || contains(message, "structured output") ||
      contains(message, "chema")) {
    if (has(R"("format":{"type":"json_schema")")) return "format";
    if (contains(message, "output_config") && has(R"("output_config":{"effort")")) return "effort";
  }
  if (contains(message, "cache_control") && has(R"("cache_control":{"type":"ephemeral")")) {
    return "cache_control";
  }
  if (contains(message, "adaptive") && adaptive) return "adaptive";
  if (contains(message, "thinking")) {
    if (adaptive) return "adaptive";
    if (budget) return "budget";
    if (has(R"("thinking":{"type":"disabled"})")) return "disabled";
  }
  for (const std::string_view name : {"top_p", "top_k", "temperature"}) {
    if (contains(message, name) && has(std::string("\"") + std::string(name) + "\":") &&
        !contains(message, "less than") && !contains(message, "greater than") &&
        !contains(message, "range")) {
      return name;
    }
  }
  return {};
}

}  // namespace

messages::messages(std::string_view name, const json::object& members)
    : translator(read(name, members)), settings_(read_settings(name, members)) {}

provider::outgoing messages::generate(const json::object& request) {
  const std::string_view model = text_or(request, "model");
  return build_request(configured(), settings_, learnt::from(learnt_.get(model)), request);
}

std::unique_ptr<provider::answer_reader> messages::reader(const provider::subject& about,
                                                          std::uint64_t id_seed) {
  return std::make_unique<messages_reader>(about, id_seed);
}

bool messages::reconsider(const provider::refused_attempt& attempt) {
  if (attempt.http_status != 400) return false;
  const provider::parsed_error parsed = provider::parse_error(attempt.body);
  const std::string_view model = text_or(attempt.request, "model");
  learnt known = learnt::from(learnt_.get(model));
  if (const std::int64_t most = told_maximum(parsed.message);
      most > 0 && (known.max_tokens == 0 || most < known.max_tokens)) {
    known.max_tokens = most;
    learnt_.set(model, known.text());
    return true;
  }
  // What is wrong with a message of the conversation is no property of the model.
  if (parsed.message.starts_with("messages.")) return false;
  const std::string_view word = refused_member(parsed.message, attempt.sent.body);
  if (word.empty() || known.has(word)) return false;
  known.refused.emplace_back(word);
  learnt_.set(model, known.text());
  return true;
}

provider::outgoing messages::models(std::string_view page) {
  provider::outgoing out{.path = "/v1/models?limit=1000"};
  if (!page.empty()) out.path += "&after_id=" + provider::url_segment(page);
  out.headers.emplace_back("anthropic-version", "2023-06-01");
  return out;
}

std::string messages::read_models(const provider::subject& about, std::string_view body,
                                  json::array& models) {
  const json::object answer = provider::read_answer_object(about, body);
  std::string last;
  for (const json::value& value : array_or_empty(answer, "data")) {
    if (!value.is_object()) continue;
    const json::object& model = value.as_object();
    const std::string_view id = text_or(model, "id");
    if (id.empty()) continue;
    last = id;
    json::object one{{"id", id}};
    if (const auto window = int_or(model, "max_input_tokens"); window > 0) {
      one["context_window"] = window;
    }
    if (const auto most = int_or(model, "max_tokens"); most > 0) one["max_output_tokens"] = most;
    models.push_back(std::move(one));
  }
  if (!bool_or(answer, "has_more")) return {};
  return std::string(text_or(answer, "last_id", last));
}

std::optional<provider::outgoing> messages::count_tokens(const json::object& request) {
  return build_count_request(configured(), settings_, request);
}

provider::classifier messages::classify() const {
  return classify_error;
}

provider::verdict classify_error(int http_status, const provider::parsed_error& parsed) {
  const int status = http_status == 0 ? status_of(parsed.type) : http_status;
  const std::string_view message = parsed.message;
  if (status == 400 && contains(message, "credit balance is too low")) {
    return provider::classify_error(402, parsed);
  }
  if (status == 400 && contains(message, "content filter")) {
    return {status_code::permission_denied, "content_filter",
            "the server's content filter stopped the answer: change the request"};
  }
  if ((status == 400 && contains(message, "exceed context limit")) || status == 413) {
    return {status_code::invalid_argument, "context_length",
            "shorten or compact the conversation, ask for fewer tokens, or choose a model with a "
            "larger context window"};
  }
  if (status == 404 && message.starts_with("model:")) {
    return {status_code::not_found, "model_not_found",
            "ask this provider for its models and correct the model's name"};
  }
  return provider::classify_error(status, parsed);
}

}  // namespace rustic::anthropic
