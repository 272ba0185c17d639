#include "openai.hpp"

namespace rustic::openai {
namespace {

using namespace rustic::provider;

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

chat_options differences(std::string_view name, const json::object& members,
                         const instance& where) {
  chat_options out;
  if (where.is_at("api.openai.com")) {
    out.max_tokens_field = "max_completion_tokens";
    out.unknown_options = {"top_k"};
  }
  return read_chat_options(name, members, std::move(out));
}

}  // namespace

chat::chat(std::string_view name, const json::object& members)
    : chat_translator(read(name, members), differences(name, members, read(name, members))) {}

}  // namespace rustic::openai
