#include "host/cli/finding.hpp"

#include <algorithm>
#include <cstdio>

#include "host/cli/terminal.hpp"

namespace rustic::cli {
namespace {

std::string_view word(gravity how) {
  switch (how) {
    case gravity::good:
      return "ok";
    case gravity::note:
      return "note";
    case gravity::problem:
      return "problem";
  }
  return "";
}
}  // namespace

bool print_findings(const std::vector<finding>& all, bool as_json, const char* healthy,
                    const char* ill) {
  const bool good = std::none_of(all.begin(), all.end(),
                                 [](const auto& one) { return one.how == gravity::problem; });
  json::array list;
  for (const auto& one : all) {
    if (as_json) {
      list.push_back({{"level", word(one.how)},
                      {"subject", to_utf8(one.subject)},
                      {"message", to_utf8(one.text)},
                      {"hint", to_utf8(one.hint)}});
      continue;
    }
    std::printf("%-8s %s: %s\n", std::string(word(one.how)).c_str(), visible(one.subject).c_str(),
                visible(one.text).c_str());
    if (!one.hint.empty()) std::printf("%-8s %s\n", "", visible(one.hint).c_str());
  }
  if (as_json)
    std::printf("%s\n",
                json::serialize(json::object{{"healthy", good}, {"findings", list}}).c_str());
  else
    std::puts(good ? healthy : ill);
  return good;
}
}  // namespace rustic::cli
