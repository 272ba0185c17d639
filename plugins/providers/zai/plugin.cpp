// plugin.cpp - serves rustic.provider for each configured instance.
#include <rustic/provider/service.hpp>

#include "zai.hpp"

RUSTIC_PLUGIN(rustic::provider::plugin_by<rustic::zai::make>)
