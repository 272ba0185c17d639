// host/runtime/runtime.hpp - Rustic-AI as a library: a kernel with its plugins, ready for calls. No
// terminal, no arguments, no files of configuration.
#pragma once
#include <memory>
#include <rustic/status.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "host/runtime/circuit_notes.hpp"
#include "host/runtime/host_services.hpp"
#include "host/runtime/housekeeping.hpp"
#include "host/runtime/options.hpp"
#include "host/runtime/plugin_keeper.hpp"
#include "host/runtime/root_call.hpp"
#include "host/runtime/timer_thread.hpp"
#include "kernel/abi/loader.hpp"
#include "kernel/kernel.hpp"

namespace rustic::runtime {

// Threads: every function from any thread. Several runtimes live side by side in one process.
class runtime {
 public:
  // Reads the plugins' notes and wires them; opens none. Throws failure when what the options name
  // does not exist (a provider's type, a storage backend, a policy).
  explicit runtime(options with);
  // Cancels what runs, stops the plugins, joins the threads.
  ~runtime();
  runtime(const runtime&) = delete;
  runtime& operator=(const runtime&) = delete;

  // Starts a call of the program's own. `context` is the root context; see
  // docs/interfaces/README.md.
  // `timeout_ms` 0: none.
  std::unique_ptr<root_call> start(std::string_view target, std::string_view method,
                                   const json::object& body, const json::object& context = {},
                                   std::uint32_t timeout_ms = 0);
  // The same, waiting: the result, or failure.
  json::object call(std::string_view target, std::string_view method, const json::object& body,
                    const json::object& context = {});

  // Before a long time without calls: the deadlines of those that have ended wake nobody any more.
  void rest() { timer_.look_again(); }

  host_services& services() noexcept { return services_; }
  kernel::kernel& kernel() noexcept { return kernel_; }
  kernel::abi::loader& plugins() noexcept { return loader_; }
  // What is known about the plugins, and changes of their files while this runs.
  plugin_keeper& keeper() noexcept { return keeper_; }
  const options& settings() const noexcept { return options_; }
  // What went not as configured but well enough to go on, for the person.
  const std::vector<std::string>& warnings() const noexcept { return warnings_; }

 private:
  std::string configuration_of(const kernel::abi::manifest& about) const;
  std::vector<std::string> instances_of(const kernel::abi::provided& entry) const;
  json::object members_of_providers(std::initializer_list<const char*> keys) const;
  kernel::abi::loader::settings loader_settings();
  void add_plugins();
  std::vector<std::string> targets_of(const kernel::abi::manifest& about) const;
  void settle_found_providers(const std::vector<kernel::abi::plugin_file>& files);
  void wire_storage();
  void wire_policies();
  void place_policies();
  void check_providers() const;
  bool offers(std::string_view target);

  options options_;
  std::vector<std::string> warnings_;
  timer_thread timer_;
  housekeeping housekeeping_;
  kernel::kernel kernel_;
  plugin_keeper keeper_;
  kernel::abi::loader loader_;
  host_services services_;
  circuit_notes circuits_;
  kernel::subscription circuit_events_;
  // Before what it works on goes, also when the constructor throws.
  struct housekeeping_end {
    housekeeping& ended;
    ~housekeeping_end() { ended.stop(); }
  } housekeeping_end_{housekeeping_};
};

// Where circuit_notes keeps its files; empty when there is no directory for state.
std::filesystem::path circuit_directory(const options& with);

}  // namespace rustic::runtime
