#include "openai.hpp"

namespace rustic::openai {
namespace {

using namespace rustic::provider;

constexpr std::string_view own_domain = "api.openai.com";

instance read(std::string_view name, const json::object& members) {
  instance out = read_instance(name, members, {.base_url = "https://api.openai.com/v1"});
  const auto header = [&](std::string_view key, std::string_view member) {
    std::string value = text_member(name, members, member);
    if (!value.empty()) out.headers.emplace(out.headers.begin(), key, std::move(value));
  };
  header("OpenAI-Project", "project");
  header("OpenAI-Organization", "organization");
  return out;
}

}  // namespace

std::unique_ptr<translator> make(std::string_view name, const json::object& members) {
  instance where = read(name, members);
  const bool own = where.is_at(own_domain);
  if (choice_member(name, members, "api", {"chat", "responses"}) == "responses") {
    auto how = read_responses_options(name, members, {.counts = own});
    return std::make_unique<responses_translator>(std::move(where), std::move(how));
  }
  chat_options how;
  if (own) {
    how.max_tokens_field = "max_completion_tokens";
    how.unknown_options = {"top_k"};
  }
  how = read_chat_options(name, members, std::move(how));
  return std::make_unique<chat>(std::move(where), std::move(how));
}

chat::chat(instance where, chat_options how) : chat_translator(std::move(where), std::move(how)) {}

std::optional<outgoing> chat::count_tokens(const json::object& request) {
  if (!configured().is_at(own_domain)) return std::nullopt;
  return build_responses_request(configured(), {.reasoning_summary = "none"}, request, {}, true);
}

}  // namespace rustic::openai
