// What the configured providers offer.
#include <algorithm>
#include <cstdio>

#include "host/cli/commands.hpp"
#include "host/cli/limits.hpp"
#include "host/cli/provider_asking.hpp"
#include "host/cli/table.hpp"
#include "host/cli/terminal.hpp"

namespace rustic::cli {
namespace {

// "128k", "1.05M": as services name their windows.
std::string tokens_text(std::int64_t tokens) {
  if (tokens <= 0) return "";
  char text[32];
  if (tokens < 1'000'000)
    std::snprintf(text, sizeof(text), "%.4gk", static_cast<double>(tokens / 100) / 10);
  else
    std::snprintf(text, sizeof(text), "%.3gM", static_cast<double>(tokens) / 1e6);
  return text;
}

std::string rate_text(const json::object* price, const char* key) {
  const auto* rate = price ? find(*price, key) : nullptr;
  if (!rate || !rate->is_number()) return "";
  char text[32];
  std::snprintf(text, sizeof(text), "%.6g", rate->to_number<double>());
  return text;
}

// The model that a turn uses when nobody says which, as PROVIDER/MODEL.
std::string usual_model(program& with, const json::object& providers) {
  const auto& view = with.configuration().view();
  const auto* agent = view.agent(view.default_agent);
  std::string provider =
      agent && !agent->provider.empty() ? agent->provider : view.default_provider;
  std::string model = agent ? agent->model : "";
  if (model.empty() && agent && agent->provider.empty()) model = view.default_model;
  if (model.empty()) model = text_or(object_or_empty(providers, provider), "model");
  return provider + "/" + model;
}

json::object listed_model(program& with, const std::string& provider, const json::object& told,
                          const std::string& usual) {
  const auto id = text_or(told, "id");
  const auto& section = object_or_empty(with.runtime().settings().providers, provider);
  const auto own = text_or(section, "model");
  json::object out{{"id", id}, {"default", provider + "/" + std::string(id) == usual}};
  out["provider_default"] = id == own;
  for (const auto* key : {"context_window", "max_output_tokens"}) {
    auto tokens = int_or(told, key);
    // The configured window is that of the configured model.
    if (tokens <= 0 && id == own && std::string_view(key) == "context_window")
      tokens = int_or(section, key);
    out[key] = tokens > 0 ? json::value(tokens) : json::value(nullptr);
  }
  const auto price =
      with.runtime().call("rustic.price/default", "price", {{"provider", provider}, {"model", id}});
  const auto* known = find(price, "price");
  out["price"] = known ? *known : json::value(nullptr);
  return out;
}

std::vector<std::string> row_of(const std::string& provider, const json::object& model) {
  const auto* price = find(model, "price");
  const auto* rates = price ? price->if_object() : nullptr;
  const auto* mark = bool_or(model, "default")            ? "*"
                     : bool_or(model, "provider_default") ? "+"
                                                          : "";
  return {mark, tokens_text(int_or(model, "context_window")), rate_text(rates, "input"),
          rate_text(rates, "output"), visible(provider + "/" + std::string(text_or(model, "id")))};
}

// Sorted by id, each once.
json::array models_of(program& with, const std::string& provider, const call_result& told,
                      const std::string& usual) {
  std::vector<json::object> listed;
  const auto answer = told.object();
  for (const auto& value : array_or_empty(answer, "models")) {
    const auto* one = value.if_object();
    if (!one || text_or(*one, "id").empty() || listed.size() >= models_shown_max) continue;
    listed.push_back(*one);
  }
  const auto id = [](const json::object& one) { return text_or(one, "id"); };
  std::stable_sort(listed.begin(), listed.end(),
                   [&](const auto& a, const auto& b) { return id(a) < id(b); });
  listed.erase(std::unique(listed.begin(), listed.end(),
                           [&](const auto& a, const auto& b) { return id(a) == id(b); }),
               listed.end());
  json::array out;
  for (const auto& one : listed) out.push_back(listed_model(with, provider, one, usual));
  return out;
}

std::vector<provider_question> questions_for(program& with, const std::string& only) {
  const auto& providers = with.runtime().settings().providers;
  if (providers.empty())
    throw failure(status_code::failed_precondition, "listing models: no provider is configured",
                  "set OPENAI_API_KEY or another key, or: rustic-ai config init");
  std::vector<provider_question> out;
  std::string known;
  for (const auto& [name, section] : providers) {
    known += (known.empty() ? "" : ", ") + std::string(name);
    if (only.empty() || name == only) out.push_back({name, "models", {}});
  }
  if (out.empty())
    throw failure(status_code::failed_precondition, "there is no provider \"" + only + "\"",
                  "configured are: " + known);
  return out;
}
}  // namespace

exit_code models_command(program& with, const arguments& given, signal_watch& signals) {
  const auto questions = questions_for(with, given.subject);
  const auto answers = ask_providers(with, signals, questions);
  const auto& providers = with.runtime().settings().providers;
  const auto usual = usual_model(with, providers);
  json::array list;
  std::vector<std::vector<std::string>> rows;
  std::string problems;
  bool any = false;
  for (std::size_t i = 0; i < questions.size(); ++i) {
    const auto& name = questions[i].provider;
    const auto& section = object_or_empty(providers, name);
    const auto own = text_or(section, "model");
    json::object one{{"name", name}, {"type", text_or(section, "type")}};
    one["default"] = usual.starts_with(name + "/");
    one["model"] = own.empty() ? json::value(nullptr) : json::value(own);
    one["models"] = json::array();
    one["error"] = nullptr;
    try {
      auto models = models_of(with, name, answers[i].result, usual);
      for (const auto& model : models) rows.push_back(row_of(name, model.as_object()));
      any = true;
      one["models"] = std::move(models);
    } catch (const failure& refused) {
      const auto& problem = refused.problem();
      one["error"] = error_object(problem);
      problems += "rustic-ai: " + visible(problem.message) + "\n";
      if (!problem.hint.empty()) problems += "  " + visible(problem.hint) + "\n";
    }
    list.push_back(std::move(one));
  }
  if (given.json) {
    std::printf("%s\n", json::serialize(json::object{{"providers", std::move(list)}}).c_str());
  } else {
    if (!rows.empty()) {
      std::fputs(to_table({"", "WINDOW", "IN", "OUT", "MODEL"}, rows, terminal_width()).c_str(),
                 stdout);
      std::puts(
          "* is used when nothing is said, + by its provider.\n"
          "IN, OUT: USD per million tokens.");
    } else if (any) {
      std::puts("No models are offered.");
    }
    std::fflush(stdout);
    std::fputs(problems.c_str(), stderr);
  }
  return any ? exit_code::done : exit_code::provider;
}
}  // namespace rustic::cli
