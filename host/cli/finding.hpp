// host/cli/finding.hpp - what the doctors have found, for people and as JSON.
#pragma once
#include <string>
#include <vector>

#include "host/cli/program.hpp"

namespace rustic::cli {

enum class gravity { good, note, problem };

struct finding {
  gravity how;
  std::string subject;
  std::string text;
  std::string hint;
};

// Writes them to standard output; `healthy` and `ill` are the last line. True: no problem is among
// them.
bool print_findings(const std::vector<finding>& all, bool as_json, const char* healthy,
                    const char* ill);

// Of plugins, their directories and what isolates them. Opens none.
std::vector<finding> plugin_findings(program& with);
}  // namespace rustic::cli
