// host/validator/opened_plugin.hpp - a plugin's code in this process, and one instance of it.
#pragma once
#include <rustic/abi.h>

#include <filesystem>
#include <string>
#include <string_view>

#include "host/validator/strict_host.hpp"
#include "host/validator/trial.hpp"

namespace rustic::validator {

using plugin_entry = decltype(&rai_plugin_entry_v1);

// dlopen and the entry, as the loader does them. Never closed. A file that does not load ends the
// trial as skipped; the checks about loading do it by hand.
class opened_plugin {
 public:
  explicit opened_plugin(trial& t);
  opened_plugin(trial& t, const std::filesystem::path& file);
  const rai_plugin& table() const noexcept { return table_; }

 private:
  rai_plugin table_{};
};

// dlopen; null and the loader's words when that fails.
void* open_image(const std::filesystem::path& file, std::string& problem);
plugin_entry find_entry(void* image);

struct lifecycle_result {
  rai_status status = RAI_UNKNOWN;
  std::string words;  // what went to `error`
  bool ok() const noexcept { return status == RAI_OK; }
};

// One instance. Its functions are called one after the other, as a loader does; nothing happens in
// the destructor, because the process ends after a check.
class instance {
 public:
  instance(trial& t, const opened_plugin& plugin, strict_host& host)
      : trial_(t), plugin_(plugin), host_(host) {}

  lifecycle_result create(std::string_view config);
  lifecycle_result create(rai_str config, const rai_writer* writer);
  lifecycle_result start();
  rai_service service(std::string_view target);  // ends the trial as skipped when there is none
  rai_status service(std::string_view target, rai_service& out);
  rai_status service_at(rai_str target, rai_service* out) {
    return plugin_.table().service(self_, target, out);
  }
  void stop();
  void destroy();
  rai_status save(std::string& out);
  lifecycle_result restore(std::string_view state);
  // create with the usual configuration, and start. Skips when they fail.
  void begin();
  void end() {
    stop();
    destroy();
  }

 private:
  trial& trial_;
  const opened_plugin& plugin_;
  strict_host& host_;
  void* self_ = nullptr;
};

// What most checks need: the plugin opened, created and started in a scratch workspace.
struct running_plugin {
  explicit running_plugin(trial& t);
  trial& t;
  strict_host host;
  opened_plugin plugin;
  instance life;
};
}  // namespace rustic::validator
