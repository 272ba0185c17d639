// host/cli/cost_report.hpp - what models have used and cost, for people.
#pragma once
#include <functional>
#include <optional>
#include <rustic/json.hpp>
#include <string>
#include <string_view>

namespace rustic::cli {

// "0.0123 USD", "12.30 USD"; nothing: "unknown".
std::string dollars(std::optional<double> usd);
// Figures of a table: without the unit.
std::string dollar_figure(std::optional<double> usd);

// Asks for the price of a model: the member `price` of rustic.price/default, or nothing.
using price_question =
    std::function<std::optional<json::object>(std::string_view provider, std::string_view model)>;

// `usage_by_model` as docs/output.md says: a table, its sum, and each model's rates. Fits 60
// columns but for long names of models, which stand last.
std::string cost_report(const json::array& usage_by_model, const price_question& price,
                        std::size_t width);
}  // namespace rustic::cli
