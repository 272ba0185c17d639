// openai.hpp - what OpenAI has of its own: its address, its headers, its names.
#pragma once
#include <rustic/provider/chat.hpp>
#include <string_view>

namespace rustic::openai {

// Chat Completions, of OpenAI and of the many servers that speak it.
class chat : public provider::chat_translator {
 public:
  // Throws failure(INVALID_ARGUMENT) that names the instance and the member.
  chat(std::string_view name, const json::object& members);
};

}  // namespace rustic::openai
