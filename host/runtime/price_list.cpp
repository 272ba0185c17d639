#include "host/runtime/price_list.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <rustic/status.hpp>

#include "host/runtime/config/files.hpp"
#include "host/runtime/host_services.hpp"
#include "host/runtime/limits.hpp"
#include "host/runtime/options.hpp"

namespace rustic::runtime {
namespace {

constexpr double tokens_of_a_rate = 1e6;

std::optional<double> rate_of(const json::object& from, std::string_view key) {
  const auto* value = rustic::find(from, key);
  if (!value || !value->is_number()) return std::nullopt;
  const double rate = value->to_number<double>();
  if (!(rate >= 0) || rate > rate_usd_max) return std::nullopt;
  return rate;
}

// Nothing: it lacks a price, or has one that is none.
std::optional<token_rates> rates_of(const json::object& from) {
  token_rates out;
  const auto input = rate_of(from, "input");
  const auto output = rate_of(from, "output");
  if (!input || !output) return std::nullopt;
  out.from_input_tokens = int_or(from, "from_input_tokens");
  out.input = *input;
  out.output = *output;
  out.cached_read = rate_of(from, "cached_read");
  out.cache_write = rate_of(from, "cache_write");
  out.cache_write_1h = rate_of(from, "cache_write_1h");
  return out;
}

std::optional<model_price> price_of(std::string model, const json::object& from) {
  model_price out;
  out.model = std::move(model);
  out.from_day = text_or(from, "from");
  out.until_day = text_or(from, "until");
  out.source = text_or(from, "source");
  auto first = rates_of(from);
  if (!first || out.model.empty()) return std::nullopt;
  first->from_input_tokens = 0;
  out.tiers.push_back(*first);
  for (const auto& value : array_or_empty(from, "tiers")) {
    const auto* object = value.if_object();
    const auto next = object ? rates_of(*object) : std::nullopt;
    // A wrong tier makes the whole price wrong.
    if (!next || next->from_input_tokens <= out.tiers.back().from_input_tokens) return std::nullopt;
    out.tiers.push_back(*next);
  }
  return out;
}

std::string day_at(std::int64_t unix_ms) {
  using namespace std::chrono;
  const year_month_day day(floor<days>(sys_time<milliseconds>(milliseconds(unix_ms))));
  char text[16];
  std::snprintf(text, sizeof(text), "%04d-%02u-%02u", static_cast<int>(day.year()),
                static_cast<unsigned>(day.month()), static_cast<unsigned>(day.day()));
  return text;
}

bool digits(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// gpt-x-2026-01-31, claude-x-20260131 and claude-x@20260131 are editions of gpt-x and claude-x.
std::string_view without_date(std::string_view model) {
  const auto n = model.size();
  if (n > 11 && model[n - 11] == '-' && model[n - 6] == '-' && model[n - 3] == '-' &&
      digits(model.substr(n - 10, 4)) && digits(model.substr(n - 5, 2)) &&
      digits(model.substr(n - 2)))
    return model.substr(0, n - 11);
  if (n > 9 && (model[n - 9] == '-' || model[n - 9] == '@') && digits(model.substr(n - 8)) &&
      model[n - 8] == '2')
    return model.substr(0, n - 9);
  return model;
}

bool holds_on(const model_price& price, std::string_view day) {
  return (price.from_day.empty() || price.from_day <= day) &&
         (price.until_day.empty() || day <= price.until_day);
}

// How many bytes of the model's name the price names; 0: another model's.
std::size_t fit(std::string_view id, std::string_view model) {
  constexpr std::size_t exact = 1u << 20;
  if (id == model) return exact;
  if (id == without_date(model)) return exact - 1;
  if (!id.ends_with('*')) return 0;
  id.remove_suffix(1);
  return model.starts_with(id) ? id.size() + 1 : 0;
}

// Google's names have this in front in some answers and not in others.
std::string_view plain(std::string_view model) {
  constexpr std::string_view prefix = "models/";
  return model.starts_with(prefix) ? model.substr(prefix.size()) : model;
}

// "https://api.example.com/v1": whether prices at `known` hold at `url`.
bool is_below(std::string_view url, std::string_view known) {
  if (url.size() < known.size()) return false;
  const auto path = known.find('/', known.find("://") + 3);
  for (std::size_t i = 0; i < known.size(); ++i) {
    char c = url[i];
    if (i < path && c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (c != known[i]) return false;
  }
  auto rest = url.substr(known.size());
  if (path == std::string_view::npos && rest.starts_with(":443")) rest.remove_prefix(4);
  return rest.empty() || rest.front() == '/' || rest.front() == '?';
}

// Another speed or place of processing has another price.
bool has_special_rates(const json::object& section) {
  static constexpr std::string_view members[] = {"service_tier", "speed", "inference_geo"};
  const auto special = [](const json::object& object) {
    return std::any_of(std::begin(members), std::end(members), [&](std::string_view key) {
      const auto value = text_or(object, key);
      return !value.empty() && value != "default" && value != "standard" && value != "global";
    });
  };
  return special(section) || special(object_or_empty(section, "body")) ||
         special(object_or_empty(section, "options"));
}
}  // namespace

void price_list::load() {
  std::call_once(loaded_, [this] {
    try {
      read_file();
    } catch (const failure& bad) {
      services_.clear();
      problem_ = bad.problem().message;
    }
    read_configured();
  });
}

void price_list::read_file() {
  if (with_.file.empty()) return;
  const auto text = config::read_file(with_.file, price_file_bytes_max);
  const auto all = parse_object(text, with_.file.string());
  if (int_or(all, "schema_version") != 1)
    throw failure(status_code::failed_precondition,
                  "reading prices: " + with_.file.string() + " is of another version");
  as_of_ = text_or(all, "as_of");
  for (const auto& value : array_or_empty(all, "services"))
    if (const auto* object = value.if_object()) read_service(*object);
}

void price_list::read_service(const json::object& object) {
  service made;
  made.name = text_or(object, "name");
  made.source = text_or(object, "source");
  const auto texts = [&](std::string_view key, std::vector<std::string>& out) {
    for (const auto& value : array_or_empty(object, key))
      if (value.is_string()) out.emplace_back(value.get_string());
  };
  texts("types", made.types);
  texts("urls", made.urls);
  for (const auto& value : array_or_empty(object, "models")) {
    const auto* entry = value.if_object();
    if (!entry || made.models.size() >= prices_max) continue;
    auto price = price_of(std::string(text_or(*entry, "id")), *entry);
    if (!price) {
      problem_ = "reading prices: the entry \"" + std::string(text_or(*entry, "id")) + "\" in " +
                 with_.file.string() + " cannot be used";
      continue;
    }
    if (price->source.empty()) price->source = made.source;
    price->as_of_day = text_or(object, "as_of", as_of_);
    for (const auto& other : array_or_empty(*entry, "also"))
      if (other.is_string()) {
        made.models.push_back(*price);
        made.models.back().model = other.get_string();
      }
    made.models.push_back(std::move(*price));
  }
  services_.push_back(std::move(made));
}

void price_list::read_configured() {
  for (const auto& [key, value] : with_.configured) {
    const auto* section = value.if_object();
    const std::string name(key);
    const auto slash = name.find('/');
    if (!section || slash == std::string::npos || configured_.size() >= prices_max) continue;
    auto price = price_of(name.substr(slash + 1), *section);
    if (!price) continue;
    price->source = "prices.\"" + name + "\"";
    for (auto& tier : price->tiers) {
      tier.cached_read = tier.cached_read.value_or(tier.input);
      tier.cache_write = tier.cache_write.value_or(tier.input);
    }
    configured_.emplace_back(name.substr(0, slash), std::move(*price));
  }
}

// Where a provider is spoken to says whose prices hold: a server of one's own that speaks a
// service's dialect, or sells its models on, has others.
const price_list::service* price_list::service_of(std::string_view provider) const {
  const auto& section = object_or_empty(with_.providers, provider);
  const auto url = text_or(section, "base_url");
  const auto type = text_or(section, "type");
  const auto preset = text_or(section, "preset", type);
  for (const auto& one : services_) {
    const auto& keys = url.empty() ? one.types : one.urls;
    if (std::any_of(keys.begin(), keys.end(), [&](const std::string& key) {
          return url.empty() ? key == preset : is_below(url, key);
        }))
      return &one;
  }
  return nullptr;
}

const model_price* price_list::configured_for(const question& about, const service* at,
                                              std::string_view day) const {
  const std::string_view names[] = {about.provider, at ? at->name : std::string_view()};
  const std::string_view models[] = {plain(about.model), plain(about.asked_model)};
  for (const auto name : names)
    for (const auto model : models) {
      const model_price* best = nullptr;
      std::size_t best_fit = 0;
      for (const auto& [owner, price] : configured_) {
        if (name.empty() || model.empty() || owner != name || !holds_on(price, day)) continue;
        const auto fits = fit(price.model, model);
        if (fits > best_fit) best = &price;
        best_fit = std::max(best_fit, fits);
      }
      if (best) return best;
    }
  return nullptr;
}

std::optional<model_price> price_list::find(const question& about) {
  load();
  const auto day = day_at(about.at_ms > 0 ? about.at_ms : unix_now_ms());
  const auto* at = service_of(about.provider);
  if (const auto* own = configured_for(about, at, day)) return *own;
  if (!at || has_special_rates(object_or_empty(with_.providers, about.provider)))
    return std::nullopt;
  const auto model = plain(about.model.empty() ? about.asked_model : about.model);
  const model_price* best = nullptr;
  std::size_t best_fit = 0;
  for (const auto& price : at->models) {
    const auto fits = price.model.ends_with('*') ? 0 : fit(price.model, model);
    if (fits <= best_fit || !holds_on(price, day)) continue;
    best = &price;
    best_fit = fits;
  }
  if (!best) return std::nullopt;
  return *best;
}

std::optional<double> cost_usd(const model_price& price, const json::object& usage) {
  if (!rustic::find(usage, "input_tokens") || !rustic::find(usage, "output_tokens"))
    return std::nullopt;
  const auto input = int_or(usage, "input_tokens", -1);
  const auto output = int_or(usage, "output_tokens", -1);
  const auto read = int_or(usage, "cache_read_tokens");
  const auto written = int_or(usage, "cache_write_tokens");
  const auto written_1h = int_or(usage, "cache_write_1h_tokens");  // some of those written
  if (output < 0 || read < 0 || written_1h < 0 || written < written_1h || input < read ||
      input - read < written)
    return std::nullopt;
  const token_rates* rates = &price.tiers.front();
  for (const auto& one : price.tiers)
    if (input >= one.from_input_tokens) rates = &one;
  double sum = 0;
  bool known = true;
  const auto add = [&](std::int64_t tokens, std::optional<double> rate) {
    if (tokens > 0 && !rate) known = false;
    sum += static_cast<double>(tokens) * rate.value_or(0);
  };
  add(input - read - written, rates->input);
  add(read, rates->cached_read);
  add(written - written_1h, rates->cache_write);
  add(written_1h, rates->cache_write_1h);
  add(output, rates->output);
  if (!known) return std::nullopt;
  return sum / tokens_of_a_rate;
}

std::optional<double> price_list::cost_usd(const question& about, const json::object& usage) {
  const auto price = find(about);
  if (!price) return std::nullopt;
  return runtime::cost_usd(*price, usage);
}

json::object price_list::describe() {
  load();
  std::size_t models = configured_.size();
  for (const auto& one : services_) models += one.models.size();
  json::object out{{"as_of", as_of_}, {"models", models}, {"file", with_.file.string()}};
  if (problem_.empty())
    out["problem"] = nullptr;
  else
    out["problem"] = problem_;
  return out;
}

json::object to_json(const model_price& price) {
  const auto rates = [](const token_rates& one) {
    json::object out{{"input", one.input}, {"output", one.output}};
    if (one.cached_read) out["cached_read"] = *one.cached_read;
    if (one.cache_write) out["cache_write"] = *one.cache_write;
    if (one.cache_write_1h) out["cache_write_1h"] = *one.cache_write_1h;
    return out;
  };
  json::object out = rates(price.tiers.front());
  json::array tiers;
  for (std::size_t i = 1; i < price.tiers.size(); ++i) {
    auto tier = rates(price.tiers[i]);
    tier["from_input_tokens"] = price.tiers[i].from_input_tokens;
    tiers.push_back(std::move(tier));
  }
  out["tiers"] = std::move(tiers);
  out["source"] = price.source;
  if (!price.as_of_day.empty()) out["as_of"] = price.as_of_day;
  return out;
}

void provide_prices(host_services& services, const options& from) {
  const auto list = std::make_shared<price_list>(
      price_list::settings{from.price_file, from.prices, from.providers});
  services.provide("rustic.price/default",
                   [list](std::string_view method, const json::object& body, std::string_view) {
                     if (method == "describe") return json::serialize(list->describe());
                     price_list::question about;
                     about.provider = require_text(body, "provider", "price");
                     about.model = text_or(body, "model");
                     about.asked_model = text_or(body, "asked_model");
                     about.at_ms = int_or(body, "at_ms");
                     json::object out;
                     if (method == "cost") {
                       const auto cost = list->cost_usd(about, object_or_empty(body, "usage"));
                       out["cost_usd"] = cost ? json::value(*cost) : json::value(nullptr);
                     } else if (method == "price") {
                       const auto price = list->find(about);
                       out["price"] = price ? json::value(to_json(*price)) : json::value(nullptr);
                     } else {
                       throw failure(status_code::unimplemented,
                                     "rustic.price has no method " + std::string(method));
                     }
                     return json::serialize(out);
                   });
}
}  // namespace rustic::runtime
