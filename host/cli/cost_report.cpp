#include "host/cli/cost_report.hpp"

#include <cmath>
#include <cstdio>
#include <vector>

#include "host/cli/table.hpp"
#include "host/cli/terminal.hpp"

namespace rustic::cli {
namespace {

std::optional<double> usd_of(const json::object& entry) {
  const auto* cost = find(entry, "cost_usd");
  if (!cost || !cost->is_number()) return std::nullopt;
  return cost->to_number<double>();
}

// "0.4", "1.25", "0.075": rates as services list them.
std::string rate_text(double rate) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.6g", rate);
  return text;
}

std::string rates_line(const json::object& price) {
  std::string out;
  const auto add = [&](const char* key, const char* words) {
    if (const auto* rate = find(price, key); rate && rate->is_number())
      out += (out.empty() ? "" : ", ") + rate_text(rate->to_number<double>()) + words;
  };
  add("input", " in");
  add("output", " out");
  add("cached_read", " cached");
  add("cache_write", " written");
  out += " per million";
  if (!array_or_empty(price, "tiers").empty()) out += ", more when long";
  if (const auto day = text_or(price, "as_of"); !day.empty()) out += " (" + std::string(day) + ")";
  return out;
}
}  // namespace

std::string dollar_figure(std::optional<double> usd) {
  if (!usd) return "unknown";
  char text[64];
  // Four digits behind the point until a cent is nothing.
  std::snprintf(text, sizeof(text), std::abs(*usd) < 10 ? "%.4f" : "%.2f", *usd);
  return text;
}

std::string dollars(std::optional<double> usd) {
  return usd ? dollar_figure(usd) + " USD" : dollar_figure(usd);
}

std::string cost_report(const json::array& usage_by_model, const price_question& price,
                        std::size_t width) {
  std::vector<std::vector<std::string>> rows;
  std::string rates;
  std::optional<double> sum = 0.0;
  for (const auto& value : usage_by_model) {
    const auto* entry = value.if_object();
    if (!entry) continue;
    const auto provider = text_or(*entry, "provider");
    const auto model = text_or(*entry, "model");
    const auto name = provider.empty() ? std::string("others")
                                       : visible(std::string(provider) + "/" + std::string(model));
    const auto count = [&](const char* key) { return std::to_string(int_or(*entry, key)); };
    const auto cost = usd_of(*entry);
    if (sum && cost)
      *sum += *cost;
    else
      sum.reset();
    rows.push_back({dollar_figure(cost), count("requests"), count("input_tokens"),
                    count("cache_read_tokens"), count("output_tokens"), name});
    if (provider.empty()) continue;
    const auto known = price(provider, model);
    if (known || !cost)
      rates += name + "\n  " + (known ? rates_line(*known) : "its price is not known") + "\n";
  }
  return to_table({"USD", "ASKED", "INPUT", "CACHED", "OUTPUT", "MODEL"}, rows, width) +
         "Together " + dollars(sum) + ". Rates in USD:\n" + rates;
}
}  // namespace rustic::cli
