// plugin.cpp - serves rustic.provider for each configured instance.
#include <rustic/provider/service.hpp>

#include "ollama.hpp"

RUSTIC_PLUGIN(rustic::provider::plugin_of<rustic::ollama::chat>)
