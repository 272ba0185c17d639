// service.hpp - serves rustic.provider/<name> for each configured instance with a translator.
// translator.hpp tells how to write one.
#pragma once
#include <functional>
#include <memory>
#include <rustic/plugin.hpp>
#include <rustic/provider/translator.hpp>
#include <string_view>
#include <vector>

namespace rustic::provider {

class service;

// The instances of one plugin. Lives as long as the plugin.
class services {
 public:
  using maker = std::function<std::unique_ptr<translator>(std::string_view name,
                                                          const json::object& members)>;
  // Throws failure(INVALID_ARGUMENT) for a configuration that cannot be.
  services(setup& s, const maker& make);
  ~services();

 private:
  std::vector<std::unique_ptr<service>> all_;
};

// RUSTIC_PLUGIN(rustic::provider::plugin_of<mine>): mine(name, members) for each instance.
template <class Translator>
class plugin_of {
 public:
  explicit plugin_of(setup& s)
      : services_(s, [](std::string_view name, const json::object& members) {
          return std::make_unique<Translator>(name, members);
        }) {}

 private:
  services services_;
};

// RUSTIC_PLUGIN(rustic::provider::plugin_by<make>): make(name, members) for each instance, for a
// type whose configuration chooses among translators.
template <auto Make>
class plugin_by {
 public:
  explicit plugin_by(setup& s) : services_(s, Make) {}

 private:
  services services_;
};

}  // namespace rustic::provider
