#include "google.hpp"

#include <algorithm>
#include <rustic/provider/turns.hpp>
#include <rustic/status.hpp>
#include <utility>

#include "reader.hpp"

namespace rustic::google {
namespace {

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return out;
}

// Whether a segment of the path is a version such as v1beta.
bool names_version(std::string_view url) {
  for (std::size_t at = url.find("/v"); at != std::string_view::npos; at = url.find("/v", at + 1)) {
    if (at + 2 < url.size() && url[at + 2] >= '0' && url[at + 2] <= '9') return true;
  }
  return false;
}

provider::instance read(std::string_view name, const json::object& members) {
  const bool bearer =
      provider::choice_member(name, members, "auth", {"api_key", "bearer"}) == "bearer";
  provider::instance out = provider::read_instance(
      name, members,
      {.base_url = "https://generativelanguage.googleapis.com/v1beta",
       .key_header =
           bearer ? std::string_view("Authorization") : std::string_view("x-goog-api-key"),
       .key_prefix = bearer ? std::string_view("Bearer ") : std::string_view()});
  if (!names_version(out.base_url)) out.base_url += "/v1beta";
  return out;
}

settings read_settings(std::string_view name, const json::object& members) {
  settings out;
  out.thoughts = bool_or(members, "thoughts", true);
  out.openapi =
      provider::choice_member(name, members, "schemas", {"json_schema", "openapi"}) == "openapi";
  return out;
}

// What a refusal says about the model, of what was sent.
std::vector<std::string_view> refused_words(const std::string& message, std::string_view sent) {
  const auto was_sent = [&](std::string_view text) { return contains(sent, text); };
  if (contains(message, "thought_signature") || contains(message, "thought signature")) {
    return {"skip_signature"};
  }
  if (contains(message, "json_schema") || contains(message, "jsonschema")) return {"openapi"};
  if (contains(message, "mime type") || contains(message, "json mode")) {
    if (!was_sent("\"responseMimeType\":")) return {};
    if (contains(message, "function call") && was_sent("\"functionDeclarations\":")) {
      return {"format_with_tools"};
    }
    return {"format"};
  }
  if (contains(message, "developer instruction") || contains(message, "system instruction")) {
    return {"system"};
  }
  if (contains(message, "penalty")) return {"presence_penalty", "frequency_penalty"};
  if (contains(message, "thinking") || contains(message, "thoughts")) {
    if (!was_sent("\"thinkingConfig\":{")) return {};
    if (contains(message, "level") && was_sent("\"thinkingLevel\":")) return {"level"};
    if (contains(message, "budget") && was_sent("\"thinkingBudget\":")) return {"budget"};
    return {"level", "budget", "thoughts"};
  }
  return {};
}

}  // namespace

gemini::gemini(std::string_view name, const json::object& members)
    : translator(read(name, members)), settings_(read_settings(name, members)) {}

provider::outgoing gemini::generate(const json::object& request) {
  const std::string_view model = text_or(request, "model");
  auto sent = build_request(configured(), settings_, learnt::from(learnt_.get(model)), request);
  std::erase_if(sent.warnings, [&](const std::string& warning) {
    if (!contains(warning, "the schema of ")) return false;
    if (!told_.get(warning).empty()) return true;
    told_.set(warning, "told");
    return false;
  });
  return sent;
}

std::unique_ptr<provider::answer_reader> gemini::reader(const provider::subject& about,
                                                        std::uint64_t id_seed) {
  return std::make_unique<content_reader>(about, id_seed);
}

bool gemini::reconsider(const provider::refused_attempt& attempt) {
  if (attempt.http_status != 400) return false;
  const std::string message = lower(provider::parse_error(attempt.body).message);
  const std::string_view model = text_or(attempt.request, "model");
  learnt known = learnt::from(learnt_.get(model));
  bool news = false;
  for (const std::string_view word : refused_words(message, attempt.sent.body)) {
    if (known.has(word)) continue;
    known.words.emplace_back(word);
    news = true;
  }
  if (news) learnt_.set(model, known.text());
  return news;
}

provider::outgoing gemini::models(std::string_view page) {
  provider::outgoing out{.path = "/models?pageSize=1000"};
  if (!page.empty()) out.path += "&pageToken=" + provider::url_segment(page);
  return out;
}

std::string gemini::read_models(const provider::subject& about, std::string_view body,
                                json::array& models) {
  const json::object answer = provider::read_answer_object(about, body);
  json::array others;  // they cannot generate, but for instance embed
  for (const json::value& value : array_or_empty(answer, "models")) {
    if (!value.is_object()) continue;
    const json::object& model = value.as_object();
    std::string_view id = text_or(model, "name");
    if (id.starts_with("models/")) id.remove_prefix(7);
    if (id.empty()) continue;
    json::object one{{"id", id}};
    if (const auto window = int_or(model, "inputTokenLimit"); window > 0) {
      one["context_window"] = window;
    }
    if (const auto most = int_or(model, "outputTokenLimit"); most > 0) {
      one["max_output_tokens"] = most;
    }
    const json::array& methods = array_or_empty(model, "supportedGenerationMethods");
    const bool generates = methods.empty() || std::find(methods.begin(), methods.end(),
                                                        "generateContent") != methods.end();
    (generates ? models : others).push_back(std::move(one));
  }
  for (json::value& one : others) models.push_back(std::move(one));
  return std::string(text_or(answer, "nextPageToken"));
}

provider::outgoing gemini::embed(const json::object& request) {
  const std::string_view model = text_or(request, "model");
  json::array requests;
  for (const json::value& input : array_or_empty(request, "inputs")) {
    json::array parts{json::object{{"text", input}}};
    requests.push_back(json::object{{"model", model_resource(model)},
                                    {"content", json::object{{"parts", std::move(parts)}}}});
  }
  return {.path = model_path(model) + ":batchEmbedContents",
          .body = json::serialize(json::object{{"requests", std::move(requests)}})};
}

json::object gemini::read_embeddings(const provider::subject& about, std::string_view body,
                                     const json::object& request) {
  const json::object answer = provider::read_answer_object(about, body);
  json::array embeddings;
  for (const json::value& value : array_or_empty(answer, "embeddings")) {
    if (!value.is_object()) continue;
    const json::array& values = array_or_empty(value.as_object(), "values");
    if (!values.empty()) embeddings.push_back(values);
  }
  const std::size_t inputs = array_or_empty(request, "inputs").size();
  if (embeddings.size() != inputs) {
    throw failure(provider::unreadable_answer(
        about, "the server gave " + std::to_string(embeddings.size()) + " embeddings for " +
                   std::to_string(inputs) + " inputs"));
  }
  const json::object& usage = object_or_empty(answer, "usageMetadata");
  json::object out{{"embeddings", std::move(embeddings)}, {"usage", nullptr}};
  if (const auto tokens = int_or(usage, "promptTokenCount"); tokens > 0) {
    out["usage"] = json::object{{"input_tokens", tokens}};
  }
  return out;
}

std::optional<provider::outgoing> gemini::count_tokens(const json::object& request) {
  return build_count_request(configured(), settings_, request);
}

std::int64_t gemini::read_count(const provider::subject& about, std::string_view body) {
  return int_or(provider::read_answer_object(about, body), "totalTokens");
}

provider::classifier gemini::classify() const {
  return classify_error;
}

provider::verdict classify_error(int http_status, const provider::parsed_error& parsed) {
  const int status = http_status == 0 ? parsed.http_status : http_status;
  const std::string message = lower(parsed.message);
  if (contains(parsed.reason, "API_KEY") ||
      ((status == 400 || status == 403) && contains(message, "api key"))) {
    return provider::classify_error(401, parsed);
  }
  if (status == 429) {
    // The same words stand for a limit of a minute and for one of a day.
    const bool gone =
        contains(parsed.reason, "PerDay") || contains(message, "limit: 0,") ||
        (contains(message, "billing") && parsed.reason.empty() && parsed.retry_after_ms == 0);
    if (!gone) {
      return {status_code::resource_exhausted, "rate_limit", "wait, or ask for less at a time"};
    }
    return {status_code::resource_exhausted, "quota",
            "the quota is used up: wait until it is filled again, or look at the account's plan"};
  }
  if (status == 400 && parsed.type == "FAILED_PRECONDITION") {
    return {status_code::permission_denied, "permission",
            "the account cannot use this API here: check its region and its billing"};
  }
  if ((status == 500 || status == 504) && contains(message, "context length")) {
    return provider::classify_error(400, parsed);
  }
  return provider::classify_error(status, parsed);
}

}  // namespace rustic::google
