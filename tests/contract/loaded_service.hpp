// loaded_service.hpp - one service of a built plugin, through the C contract and nothing else.
#pragma once
#include <rustic/abi.h>

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <rustic/status.hpp>
#include <string>
#include <string_view>
#include <utility>

namespace rustic::contract {

// Loads, creates and starts a plugin; stops, destroys and unloads it in the end. Its host answers
// the plugin's calls to others with nothing: for services that need none. Threads: call from any,
// concurrently. Errors: the constructor throws failure with the plugin's words.
class loaded_service {
 public:
  loaded_service(const std::string& library, std::string_view target, std::string_view config);
  ~loaded_service();
  loaded_service(const loaded_service&) = delete;
  loaded_service& operator=(const loaded_service&) = delete;

  // One call, from its beginning to its release. With cancel_at_once the caller cancels it as soon
  // as it was taken.
  std::pair<status_code, std::string> call(std::string_view method, std::string_view body,
                                           bool cancel_at_once = false);
  // As the host does it before it destroys the plugin.
  void stop();

 private:
  struct pending;
  static void finish(void* self, rai_call call, rai_status status, rai_str body);
  static rai_host make_host(loaded_service* self);

  const rai_host host_;
  void* library_ = nullptr;
  rai_plugin plugin_{};
  void* instance_ = nullptr;
  rai_service service_{};
  bool stopped_ = false;

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  rai_call last_call_ = 0;
  std::map<rai_call, pending*> calls_;
};
}  // namespace rustic::contract
