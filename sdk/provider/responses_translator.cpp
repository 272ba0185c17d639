#include <algorithm>
#include <array>
#include <rustic/provider/chat.hpp>
#include <rustic/provider/responses.hpp>

namespace rustic::provider {
namespace {

// What may be left out when a server refuses it: the answer is of the same kind without it.
constexpr std::array<std::string_view, 8> dispensable{
    "temperature", "top_p", "reasoning.summary", "reasoning.effort",
    "include",     "store", "reasoning",         "parallel_tool_calls"};

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at < text.size();) {
    const auto end = std::min(text.find(' ', at), text.size());
    out.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

}  // namespace

responses_options read_responses_options(std::string_view name, const json::object& members,
                                         responses_options defaults) {
  responses_options out = std::move(defaults);
  if (find(members, "reasoning_summary") != nullptr)
    out.reasoning_summary =
        choice_member(name, members, "reasoning_summary", {"auto", "concise", "detailed", "none"});
  out.store = bool_or(members, "store", out.store);
  return out;
}

outgoing responses_translator::generate(const json::object& request) {
  return build_responses_request(configured(), options_, request,
                                 words_of(learnt_.get(text_or(request, "model"))));
}

std::unique_ptr<answer_reader> responses_translator::reader(const subject& about,
                                                            std::uint64_t id_seed) {
  return std::make_unique<responses_reader>(about, id_seed);
}

bool responses_translator::reconsider(const refused_attempt& attempt) {
  const std::string_view model = text_or(attempt.request, "model");
  std::string learnt = learnt_.get(model);
  const auto known = words_of(learnt);
  for (const std::string_view member : dispensable) {
    if (std::find(known.begin(), known.end(), member) != known.end()) continue;
    const std::string_view last = member.substr(member.rfind('.') + 1);  // npos + 1 is 0
    if (attempt.sent.body.find("\"" + std::string(last) + "\":") == std::string::npos) continue;
    if (!refuses_member(attempt.http_status, attempt.body, member)) continue;
    learnt.append(learnt.empty() ? "" : " ").append(member);
    learnt_.set(model, learnt);
    return true;
  }
  return false;
}

std::optional<outgoing> responses_translator::count_tokens(const json::object& request) {
  if (!options_.counts) return std::nullopt;
  return build_responses_request(configured(), options_, request,
                                 words_of(learnt_.get(text_or(request, "model"))), true);
}

outgoing responses_translator::models(std::string_view) {
  return {.path = "/models"};
}

std::string responses_translator::read_models(const subject& about, std::string_view body,
                                              json::array& models) {
  read_model_list(about, body, models);
  return {};
}

outgoing responses_translator::embed(const json::object& request) {
  return {.path = "/embeddings", .body = build_embeddings_request(request)};
}

json::object responses_translator::read_embeddings(const subject& about, std::string_view body,
                                                   const json::object& request) {
  return read_embedding_list(about, body, array_or_empty(request, "inputs").size());
}

}  // namespace rustic::provider
