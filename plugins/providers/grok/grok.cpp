#include "grok.hpp"

#include <rustic/provider/chat.hpp>
#include <rustic/provider/responses.hpp>

namespace rustic::grok {

using namespace rustic::provider;

std::unique_ptr<translator> make(std::string_view name, const json::object& members) {
  instance where = read_instance(name, members, {.base_url = "https://api.x.ai/v1"});
  const bool chosen = find(members, "api") != nullptr;
  const bool responses =
      chosen ? choice_member(name, members, "api", {"chat", "responses"}) == "responses"
             : where.is_at("api.x.ai");
  if (responses) {
    return std::make_unique<responses_translator>(std::move(where),
                                                  read_responses_options(name, members));
  }
  auto how = read_chat_options(name, members,
                               {.replay = reasoning_replay::never, .unknown_options = {"top_k"}});
  return std::make_unique<chat_translator>(std::move(where), std::move(how));
}

}  // namespace rustic::grok
