// What the requests of a turn have used and cost: of answers, of failed ones, and of those that
// somebody between the agent and the provider tried before.
#include "turn.hpp"

namespace rustic::agent {

// `request` is a question of rustic.price: who was asked, and who answered.
task<void> turn::count(json::object request, json::object usage) {
  record_.usage.add(usage);
  const std::string provider(text_or(request, "provider"));
  const std::string model(text_or(request, "model", text_or(request, "asked_model")));
  request["usage"] = usage;
  request["at_ms"] = now_ms_;
  const auto body = json::serialize(request);
  const auto told =
      co_await ctx_.call({.target = "rustic.price/default", .method = "cost", .body = body});
  std::optional<double> cost_usd;
  if (told.ok()) {
    const auto answer = told.object();
    if (const auto* cost = find(answer, "cost_usd"); cost && cost->is_number())
      cost_usd = cost->to_number<double>();
  }
  spent_.add(provider, model, usage, cost_usd);
}

// `who` names the provider and the model where they are not those that this turn asks.
json::object turn::price_question(const json::object& who) const {
  const auto provider = text_or(who, "provider", provider_->name);
  auto model = text_or(who, "model");
  if (model.empty() && provider == provider_->name) model = asked_model_;
  return {{"provider", provider}, {"asked_model", model}};
}

task<void> turn::count_spent(json::array spent) {
  for (const auto& value : spent) {
    const auto* one = value.if_object();
    if (!one) continue;
    json::object request = price_question(*one);
    json::object usage = object_or_empty(*one, "usage");
    co_await count(std::move(request), std::move(usage));
  }
}

// Who answered is told when it is not who was asked.
task<void> turn::count_answer(const json::object& result) {
  json::array spent = array_or_empty(result, "spent");
  co_await count_spent(std::move(spent));
  record_.provider = text_or(result, "provider", provider_->name);
  const std::string asked(text_or(result, "asked_model", asked_model_));
  record_.model = text_or(result, "model");
  if (record_.model.empty()) record_.model = asked;
  json::object request{
      {"provider", record_.provider}, {"model", record_.model}, {"asked_model", asked}};
  json::object usage = object_or_empty(result, "usage");
  // A server that reports nothing leaves the cost unknown.
  if (usage.empty())
    spent_.add(record_.provider, record_.model, usage, std::nullopt);
  else
    co_await count(std::move(request), std::move(usage));
}

// What a failed answer has told of its cost counts too.
task<void> turn::count_failure(const error& problem) {
  const auto* object = problem.details.if_object();
  const json::object details = object ? *object : json::object();
  json::array spent = array_or_empty(details, "spent");
  co_await count_spent(std::move(spent));
  if (usage_text_.empty()) co_return;
  json::object request = price_question(details);
  json::object usage = parse_object(usage_text_, "usage");
  co_await count(std::move(request), std::move(usage));
}
}  // namespace rustic::agent
