// plugins/engines/agent/spending.hpp - what requests have used and cost, model by model.
#pragma once
#include <optional>
#include <rustic/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "turn_record.hpp"

namespace rustic::agent {

// A cost is known when that of every request is: a sum with a hole in it would be a wrong figure.
class spending {
 public:
  // One request. No `cost_usd`: it is not known.
  void add(std::string_view provider, std::string_view model, const json::object& usage,
           std::optional<double> cost_usd);
  // What to_json gave; anything else adds nothing.
  void add(const json::array& earlier);

  // Nothing: no request was counted, or the cost of one is not known.
  std::optional<double> cost_usd() const;
  // [{provider, model, requests, the members of usage_totals, cost_usd or null}], in the order of
  // their first requests.
  json::array to_json() const;

 private:
  struct entry {
    std::string provider, model;
    std::int64_t requests = 0;
    usage_totals usage;
    std::optional<double> cost_usd = 0.0;
  };
  entry* at(std::string_view provider, std::string_view model);
  std::vector<entry> entries_;
};
}  // namespace rustic::agent
