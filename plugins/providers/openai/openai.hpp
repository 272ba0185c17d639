// openai.hpp - what OpenAI has of its own: its address, its headers, its names, two APIs.
#pragma once
#include <memory>
#include <rustic/provider/chat.hpp>
#include <rustic/provider/responses.hpp>
#include <string_view>

namespace rustic::openai {

// A translator for the member "api": "chat" (Chat Completions, of OpenAI and of the many servers
// that speak it) or "responses". Throws failure(INVALID_ARGUMENT) that names the instance and the
// member.
std::unique_ptr<provider::translator> make(std::string_view name, const json::object& members);

// Chat Completions; OpenAI itself counts tokens where its Responses are.
class chat : public provider::chat_translator {
 public:
  chat(provider::instance where, provider::chat_options how);
  std::optional<provider::outgoing> count_tokens(const json::object& request) override;
};

}  // namespace rustic::openai
