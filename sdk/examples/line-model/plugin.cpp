// plugin.cpp - a service rustic.provider/NAME for each [providers.NAME] of this type.
#include <rustic/provider/service.hpp>

#include "line_model.hpp"

RUSTIC_PLUGIN(rustic::provider::plugin_of<line_model_plugin::translator>)
