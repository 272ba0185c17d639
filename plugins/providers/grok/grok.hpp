// grok.hpp - what xAI has of its own: its address, and which of its two APIs is asked.
#pragma once
#include <memory>
#include <rustic/provider/translator.hpp>
#include <string_view>

namespace rustic::grok {

// A translator for the member "api". Responses are the API that xAI recommends, and the only one
// that takes reasoning back. Throws failure(INVALID_ARGUMENT) that names the instance and the
// member.
std::unique_ptr<provider::translator> make(std::string_view name, const json::object& members);

}  // namespace rustic::grok
