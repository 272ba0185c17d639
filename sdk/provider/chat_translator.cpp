#include <algorithm>
#include <array>
#include <rustic/provider/chat.hpp>
#include <rustic/provider/turns.hpp>

namespace rustic::provider {
namespace {

// What may be left out when a server refuses it: the answer is of the same kind without it. Stop
// sequences, tools and formats are not among them.
constexpr std::array<std::string_view, 9> dispensable{
    "temperature",
    "top_p",
    "top_k",
    "presence_penalty",
    "seed",
    "parallel_tool_calls",
    "frequency_penalty",
    "reasoning_effort",
    "stream_options",
};

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// The form of the answer that was sent and refused, or nothing. A schema that the server finds
// wrong is the caller's matter.
std::string_view refused_form(const refused_attempt& attempt) {
  if (attempt.http_status != 400 && attempt.http_status != 422) return {};
  const parsed_error parsed = parse_error(attempt.body);
  const std::string_view message = parsed.message;
  if (contains(message, "nvalid schema")) return {};
  const bool meant = contains(message, "response_format") || contains(message, "json_schema") ||
                     contains(message, "json_object") ||
                     parsed.param.starts_with("response_format");
  if (!meant) return {};
  if (contains(attempt.sent.body, R"("response_format":{"type":"json_schema")")) return form_schema;
  if (contains(attempt.sent.body, R"("response_format":{"type":"json_object")")) return form_json;
  return {};
}

}  // namespace

chat_options read_chat_options(std::string_view name, const json::object& members,
                               chat_options defaults) {
  chat_options out = std::move(defaults);
  const auto choose = [&](std::string& field, std::string_view key, std::string_view first,
                          std::string_view second) {
    if (find(members, key) != nullptr) field = choice_member(name, members, key, {first, second});
  };
  choose(out.max_tokens_field, "max_tokens_field", "max_tokens", "max_completion_tokens");
  choose(out.system_role, "system_role", "system", "developer");
  out.stream_usage = bool_or(members, "stream_usage", out.stream_usage);
  if (find(members, "reasoning_replay") != nullptr) {
    const std::string when =
        choice_member(name, members, "reasoning_replay", {"tool_turns", "always", "never"});
    out.replay = when == "never"    ? reasoning_replay::never
                 : when == "always" ? reasoning_replay::always
                                    : reasoning_replay::tool_turns;
  }
  if (find(members, "unknown_options") != nullptr) {
    out.unknown_options.clear();
    for (const json::value& option : array_or_empty(members, "unknown_options")) {
      if (!option.is_string()) refuse_member(name, "unknown_options", "must hold names of options");
      out.unknown_options.emplace_back(option.as_string());
    }
  }
  return out;
}

bool chat_learnt::has(std::string_view member) const {
  return std::find(refused.begin(), refused.end(), member) != refused.end();
}

std::string chat_learnt::text() const {
  std::string out = max_tokens_field;
  for (const std::string& member : refused) out.append(" ").append(member);
  return out;
}

chat_learnt chat_learnt::from(std::string_view text) {
  chat_learnt out;
  std::size_t end = text.find(' ');
  out.max_tokens_field = text.substr(0, end);
  while (end != std::string_view::npos) {
    text.remove_prefix(end + 1);
    end = text.find(' ');
    out.refused.emplace_back(text.substr(0, end));
  }
  return out;
}

outgoing chat_translator::generate(const json::object& request) {
  const std::string_view model = text_or(request, "model");
  const chat_learnt learnt = chat_learnt::from(learnt_.get(model));
  const json::object& format =
      object_or_empty(object_or_empty(request, "options"), "response_format");
  const std::string_view type = text_or(format, "type");
  const bool by_words = (type == "json_schema" && learnt.has(form_schema)) ||
                        (type == "json_object" && learnt.has(form_json));
  if (!by_words) return build_chat_request(configured(), options_, request, learnt);
  json::object changed = form_in_words(request);
  json::object& options = changed["options"].as_object();
  if (learnt.has(form_json)) {
    options.erase("response_format");
  } else {
    options["response_format"] = json::object{{"type", "json_object"}};
  }
  return build_chat_request(configured(), options_, changed, learnt);
}

std::unique_ptr<answer_reader> chat_translator::reader(const subject& about,
                                                       std::uint64_t id_seed) {
  return std::make_unique<chat_reader>(about, id_seed);
}

bool chat_translator::reconsider(const refused_attempt& attempt) {
  const std::string_view model = text_or(attempt.request, "model");
  const json::object& asked = object_or_empty(attempt.request, "options");
  chat_learnt learnt = chat_learnt::from(learnt_.get(model));
  if (asked.contains("max_tokens") && attempt.attempt == 1) {
    const std::string used =
        learnt.max_tokens_field.empty() ? options_.max_tokens_field : learnt.max_tokens_field;
    if (refuses_member(attempt.http_status, attempt.body, used)) {
      learnt.max_tokens_field = used == "max_tokens" ? "max_completion_tokens" : "max_tokens";
      learnt_.set(model, learnt.text());
      return true;
    }
  }
  for (const std::string_view member : dispensable) {
    const bool known =
        std::find(learnt.refused.begin(), learnt.refused.end(), member) != learnt.refused.end();
    const bool sent =
        asked.contains(member) ||
        (member == "stream_options" && contains(attempt.sent.body, "\"stream_options\":"));
    if (!sent || known) continue;
    if (!refuses_member(attempt.http_status, attempt.body, member)) continue;
    learnt.refused.emplace_back(member);
    learnt_.set(model, learnt.text());
    return true;
  }
  if (const std::string_view form = refused_form(attempt); !form.empty()) {
    learnt.refused.emplace_back(form);
    learnt_.set(model, learnt.text());
    return true;
  }
  return false;
}

outgoing chat_translator::models(std::string_view) {
  return {.path = "/models"};
}

std::string chat_translator::read_models(const subject& about, std::string_view body,
                                         json::array& models) {
  read_model_list(about, body, models);
  return {};
}

outgoing chat_translator::embed(const json::object& request) {
  return {.path = "/embeddings", .body = build_embeddings_request(request)};
}

json::object chat_translator::read_embeddings(const subject& about, std::string_view body,
                                              const json::object& request) {
  return read_embedding_list(about, body, array_or_empty(request, "inputs").size());
}

}  // namespace rustic::provider
