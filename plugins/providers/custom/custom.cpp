#include "custom.hpp"

#include <rustic/provider/chat.hpp>
#include <rustic/provider/responses.hpp>

namespace rustic::custom {

using namespace rustic::provider;

std::unique_ptr<translator> make(std::string_view name, const json::object& members) {
  instance where = read_instance(name, members);
  where.key_header = text_member(name, members, "key_header", where.key_header);
  where.key_prefix = text_member(name, members, "key_prefix", where.key_prefix);
  if (choice_member(name, members, "api", {"chat", "responses"}) == "responses") {
    const bool counts = bool_or(members, "counts_tokens");
    auto how = read_responses_options(name, members, {.counts = counts});
    return std::make_unique<responses_translator>(std::move(where), std::move(how));
  }
  return std::make_unique<chat_translator>(std::move(where), read_chat_options(name, members));
}

}  // namespace rustic::custom
