// host/cli/argument_offers.hpp - what could stand at a place of a command line, for the shells.
#pragma once
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace rustic::cli {

struct argument_offer {
  std::string word;
  std::string about;
};

struct argument_offers {
  // words: those in `words`. names: known to the configuration, `named` says which ("agent",
  // "provider", "model", "key", "plugin", "session"). files, directories: the shell knows best.
  enum class kind { words, names, files, directories };
  kind what = kind::words;
  std::string named;
  std::vector<argument_offer> words;
  std::string before;  // of the word, which each offer begins with: "--output="
};

// For the last of `words`, which may be empty or only begun; the others stand before it. They may
// be wrong in any way.
argument_offers offers_of(CLI::App& app, const std::vector<std::string>& words);
}  // namespace rustic::cli
