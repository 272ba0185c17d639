// host/runtime/price_list.hpp - what a request to a model costs: the shipped data file, what the
// configuration adds to it, and the service rustic.price/default.
#pragma once
#include <filesystem>
#include <mutex>
#include <optional>
#include <rustic/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace rustic::runtime {
class host_services;
struct options;

// USD for a million tokens, for requests with at least `from_input_tokens`.
struct token_rates {
  std::int64_t from_input_tokens = 0;
  double input = 0, output = 0;
  // Unknown ones make the cost of a request that needs them unknown. 1h: kept for an hour.
  std::optional<double> cached_read, cache_write, cache_write_1h;
};

struct model_price {
  std::string model;                // an id; in the configuration also with a * at its end
  std::string from_day, until_day;  // 2026-01-31, in UTC, both inclusive; empty: without end
  std::string source;               // an address, or the key of the configuration
  std::string as_of_day;            // when it was read there; empty for the configuration
  std::vector<token_rates> tiers;   // ascending, the first from 0
};

// A model whose price is not known has none: there is no nearest match and no default.
// Threads: any. The file is read by the first question and not before.
class price_list {
 public:
  struct settings {
    std::filesystem::path file;  // empty: none
    json::object configured;     // "NAME/MODEL" -> section of [prices."NAME/MODEL"]
    json::object providers;      // name -> section of [providers.NAME]
  };
  explicit price_list(settings with) : with_(std::move(with)) {}

  // Which model was asked, and which one answered when that is known.
  struct question {
    std::string_view provider;  // its name in the configuration
    std::string_view model;     // as the answer names it; may be empty
    std::string_view asked_model;
    std::int64_t at_ms = 0;  // since 1970
  };
  std::optional<model_price> find(const question& about);
  // `usage` as docs/interfaces/provider.md says. Nothing: unknown model, or counts that contradict
  // each other.
  std::optional<double> cost_usd(const question& about, const json::object& usage);

  // {"as_of", "models", "file", "problem"}.
  json::object describe();

 private:
  struct service {
    std::string name, source;
    std::vector<std::string> types;  // of providers without a base_url
    std::vector<std::string> urls;   // where its prices hold
    std::vector<model_price> models;
  };
  void load();
  void read_file();
  void read_service(const json::object& object);
  void read_configured();
  const service* service_of(std::string_view provider) const;
  const model_price* configured_for(const question& about, const service* at,
                                    std::string_view day) const;

  const settings with_;
  std::once_flag loaded_;
  std::string as_of_, problem_;
  std::vector<service> services_;
  std::vector<std::pair<std::string, model_price>> configured_;  // by NAME
};

// The cost of one request at these rates. Nothing: the counts contradict each other.
std::optional<double> cost_usd(const model_price& price, const json::object& usage);
json::object to_json(const model_price& price);

// Provides rustic.price/default; see docs/interfaces/host.md.
void provide_prices(host_services& services, const options& from);
}  // namespace rustic::runtime
