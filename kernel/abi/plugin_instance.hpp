// kernel/abi/plugin_instance.hpp - one generation of one plugin: its table, its host table, its
// life.
#pragma once
#include <rustic/abi.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/abi/library.hpp"
#include "kernel/kernel.hpp"

namespace rustic::kernel::abi {

// What the plugin logs. Any thread.
using log_sink =
    std::function<void(int level, std::string_view plugin, rai_call call, std::string_view text)>;

// Lifecycle functions are serialised by the loader; the host table may be used on any thread until
// the instance is destroyed. Exceptions of either side end here.
class plugin_instance {
 public:
  plugin_instance(kernel& owner, std::string id, std::uint32_t generation, log_sink log);
  ~plugin_instance();
  plugin_instance(const plugin_instance&) = delete;
  plugin_instance& operator=(const plugin_instance&) = delete;

  // Opens, creates, restores when there is a state and the plugin takes one, and starts. Empty, or
  // the reason why not; a failed instance is only destroyed.
  std::string start(const std::filesystem::path& file, std::string_view config,
                    const std::string* state = nullptr);
  // What it hands to the generation that follows; nothing when it has nothing to hand over, with
  // the reason in `problem` when it was about to.
  std::optional<std::string> save(std::string& problem);
  // The service for a target of the manifest. Empty, or the reason why not.
  std::string service(std::string_view target, rai_service& out);
  // Binds what the plugin has offered by itself while it started. Once, when the start is decided.
  void offer();
  // Takes back what the plugin offers by itself; it cannot offer more. Gives the generations of the
  // registry that have to drain before stop. Idempotent.
  std::vector<std::uint64_t> retire();
  // Joins the plugin's threads, ends the subscriptions that it has forgotten, and frees it. Only
  // when no call is in flight.
  void stop();

  std::uint32_t generation() const noexcept { return generation_; }
  const std::string& id() const noexcept { return id_; }

 private:
  // Something that the plugin offers beside its manifest.
  struct offered {
    std::string attributes;
    rai_service service{};
    std::uint64_t generation = 0;  // 0: not bound yet
  };
  enum class phase { starting, serving, retired };
  class lifecycle_call;

  std::string restore(const std::string& state);
  rai_status bind(const std::string& target, offered& what);
  void took_back(std::uint64_t generation);
  void refuse_call(const rai_request& request, const rai_observer& observer) const;
  static rai_flow emit(void* self, rai_call call, const rai_event* event) noexcept;
  static void finish(void* self, rai_call call, rai_status status, rai_str body) noexcept;
  static rai_status call_info(void* self, rai_call call, rai_call_info* out) noexcept;
  static rai_call call(void* self, rai_call parent, const rai_request* request,
                       const rai_observer* observer) noexcept;
  static void cancel(void* self, rai_call call) noexcept;
  static void resume(void* self, rai_call call) noexcept;
  static void abandon(void* self, rai_call call) noexcept;
  static void forward(void* self, rai_call call, const rai_request* request) noexcept;
  static void publish(void* self, rai_str topic, rai_str body) noexcept;
  static std::uint64_t subscribe(void* self, rai_str pattern, rai_handler handler,
                                 void* handler_self) noexcept;
  static void unsubscribe(void* self, std::uint64_t subscription) noexcept;
  static void list(void* self, rai_str pattern, rai_listing listing, void* listing_self) noexcept;
  static rai_status provide(void* self, rai_str target, rai_str attributes,
                            const rai_service* service) noexcept;
  static void withdraw(void* self, rai_str target) noexcept;
  static void log(void* self, std::int32_t level, rai_call call, rai_str text) noexcept;

  kernel& kernel_;
  const std::string id_;
  const std::string own_context_;  // of calls on the plugin's own account
  const std::uint32_t generation_;
  const log_sink log_;
  rai_host host_{};
  std::unique_ptr<library> library_;
  rai_plugin table_{};
  void* self_ = nullptr;
  bool created_ = false;
  bool started_ = false;
  // Mark of the thread that is inside create, restore, start, save or service; 0: none.
  std::atomic<std::uintptr_t> lifecycle_thread_{0};

  // Recursive: who watches the registry may come back to this plugin on the same thread.
  std::recursive_mutex offers_mutex_;  // guards what follows
  phase phase_ = phase::starting;
  std::map<std::string, offered, std::less<>> offers_;  // by target
  std::vector<std::uint64_t> taken_back_;               // generations that may have calls
  std::set<std::uint64_t> subscriptions_;
};
}  // namespace rustic::kernel::abi
