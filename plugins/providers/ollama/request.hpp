// request.hpp - builds the requests of Ollama's own API out of those of rustic.provider.
#pragma once
#include <cstdint>
#include <rustic/json.hpp>
#include <rustic/provider/translator.hpp>
#include <string_view>

namespace rustic::ollama {

// What the configuration of an instance says beside the address.
struct settings {
  std::int64_t context_window = 0;  // tokens; 0: what the server takes by itself
  json::value keep_alive;           // how long the model stays in memory; null: as the server does
};

// How thinking is asked for from a model.
enum class think_form { level, on_or_off, never };

// The request for /api/chat. Throws failure(INVALID_ARGUMENT) that names what cannot be sent.
provider::outgoing build_request(const provider::instance& where, const settings& how,
                                 think_form thinking, const json::object& generate);

}  // namespace rustic::ollama
