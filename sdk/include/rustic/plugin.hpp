// rustic/plugin.hpp - write a plugin in C++: register handlers, RUSTIC_PLUGIN does the rest.
//
//   struct hello {
//     explicit hello(rustic::setup& s) { s.blocking("rustic.tool/hello", ...); }
//   };
//   RUSTIC_PLUGIN(hello)
//
// The class is constructed in `create` (throw failure to refuse the configuration), destroyed after
// `stop`. It may have `void start()` and `void stop()`; stop joins every thread that it started.
// With `std::string save()` and `void restore(std::string_view)` it hands what it knows to the
// generation that replaces it in a reload: save may run beside calls, restore runs before start.
// Nothing static may change: two hosts can use one mapped image at once.
#pragma once
#include <concepts>
#include <functional>
#include <map>
#include <memory>
#include <rustic/call.hpp>
#include <rustic/worker_pool.hpp>
#include <string>

namespace rustic {

// Each handler returns the result's body, a JSON object as text, or throws failure.
// The coroutine form runs on the call's strand; request() of the context lives as long as the call.
using coroutine_handler = std::function<task<std::string>(context&)>;
// The blocking form runs on a worker of the plugin's pool.
using blocking_handler = std::function<std::string(context&)>;

// What a plugin's constructor sees. Lives until the plugin is destroyed.
class setup {
 public:
  setup(const rai_host* host, json::object config);
  ~setup();
  setup(const setup&) = delete;
  setup& operator=(const setup&) = delete;

  const json::object& config() const noexcept { return config_; }
  const rai_host& host() const noexcept { return *host_; }
  void log(rai_log_level level, std::string_view text) const noexcept;

  void coroutine(std::string target, coroutine_handler handler);
  void blocking(std::string target, blocking_handler handler);
  void raw(std::string target, const rai_service& service);
  // How many blocking handlers run at once; 8 when nobody says.
  void limit_threads(std::size_t parallel) noexcept { parallel_ = parallel; }

 private:
  friend class plugin_host;
  struct entry;
  const rai_host* host_;
  json::object config_;
  std::size_t parallel_ = 8;
  std::map<std::string, std::unique_ptr<entry>, std::less<>> entries_;
  std::unique_ptr<worker_pool> pool_;
};

// The table functions behind RUSTIC_PLUGIN: exceptions end here.
class plugin_host {
 public:
  struct object {
    virtual ~object() = default;
    virtual void start() {}
    virtual void stop() {}
    virtual std::string save() { return {}; }
    virtual void restore(std::string_view) {}
  };
  using maker = std::unique_ptr<object> (*)(setup&);

  static rai_status fill(rai_plugin* out,
                         rai_status (*create)(const rai_host*, rai_str, const rai_writer*, void**),
                         bool keeps_state);
  static rai_status create(const rai_host* host, rai_str config, const rai_writer* error,
                           void** self, maker make) noexcept;

 private:
  struct instance;
  struct served;
  static rai_status start(void* self, const rai_writer* error) noexcept;
  static void stop(void* self) noexcept;
  static rai_status save(void* self, const rai_writer* state) noexcept;
  static rai_status restore(void* self, rai_str state, const rai_writer* error) noexcept;
  static void destroy(void* self) noexcept;
  static rai_status service(void* self, rai_str target, rai_service* out) noexcept;
  static void call(void* self, const rai_request* request, rai_call id, rai_op* op) noexcept;
  static void run_blocking(served* call) noexcept;
  static void finish(served* call, status_code status, std::string_view body) noexcept;
};

namespace detail {
template <class T>
concept keeps_state = requires(T& v, std::string_view state) {
  { v.save() } -> std::convertible_to<std::string>;
  v.restore(state);
};

template <class T>
struct plugin_object final : plugin_host::object {
  explicit plugin_object(setup& s) : value(s) {}
  void start() override {
    if constexpr (requires(T & v) { v.start(); }) value.start();
  }
  void stop() override {
    if constexpr (requires(T & v) { v.stop(); }) value.stop();
  }
  std::string save() override {
    if constexpr (keeps_state<T>) return value.save();
    return {};
  }
  void restore(std::string_view state) override {
    if constexpr (keeps_state<T>) value.restore(state);
  }
  T value;
};
}  // namespace detail

#define RUSTIC_PLUGIN(type)                                                         \
  static rai_status rustic_plugin_create(const rai_host* host, rai_str config,      \
                                         const rai_writer* error, void** self) {    \
    return ::rustic::plugin_host::create(                                           \
        host, config, error, self,                                                  \
        [](::rustic::setup& s) -> std::unique_ptr<::rustic::plugin_host::object> {  \
          return std::make_unique<::rustic::detail::plugin_object<type>>(s);        \
        });                                                                         \
  }                                                                                 \
  extern "C" RAI_EXPORT rai_status rai_plugin_entry_v1(uint32_t, rai_plugin* out) { \
    return ::rustic::plugin_host::fill(out, rustic_plugin_create,                   \
                                       ::rustic::detail::keeps_state<type>);        \
  }
}  // namespace rustic
