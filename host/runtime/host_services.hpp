// host/runtime/host_services.hpp - the services that the program itself offers: rustic.clock,
// rustic.id, rustic.secret, and functions of a front end.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <rustic/status.hpp>
#include <string>
#include <vector>

namespace rustic::kernel {
class kernel;
}

namespace rustic::runtime {

// Makes ids that sort by time: 10 characters of milliseconds and 16 of randomness, Crockford's
// base 32. Within one millisecond they count up. Threads: any.
class id_maker {
 public:
  id_maker();
  std::string make(std::int64_t unix_ms);

 private:
  std::mutex mutex_;
  std::int64_t last_ms_ = 0;
  std::uint64_t high_ = 0, low_ = 0;  // 80 bits of randomness
};

std::int64_t unix_now_ms();

// Registers functions as services of the program. Each runs inside the call and must not block; for
// answers that take time see asynchronous. Destroy it after the kernel has stopped calling.
class host_services {
 public:
  explicit host_services(kernel::kernel& owner);
  ~host_services();
  host_services(const host_services&) = delete;
  host_services& operator=(const host_services&) = delete;

  // Answers with a JSON text, or throws failure.
  using handler = std::function<std::string(std::string_view method, const json::object& body,
                                            std::string_view caller)>;
  // `attributes` are what a manifest would say; of a tool: description, parameters, annotations.
  void provide(std::string target, handler function, const json::object& attributes = {});

  // Answers later through `answer`, once, from any thread. `cancelled` becomes true meanwhile.
  struct question {
    std::string method;
    std::string body;
    std::string context;
    std::function<void(status_code status, std::string_view body)> answer;
    std::shared_ptr<std::function<void()>> on_cancel;  // set it before `ask` returns
  };
  using asynchronous = std::function<void(question)>;
  void provide_later(std::string target, asynchronous function);

  void withdraw(std::string_view target);

  struct entry;

 private:
  kernel::kernel& kernel_;
  std::vector<std::unique_ptr<entry>> entries_;
};

class timer_thread;

// rustic.timer/default: time that passes, and waiting for it. Not recorded. `timer` outlives the
// calls.
void provide_timer(host_services& services, timer_thread& timer);

// rustic.clock/default, rustic.id/default, and rustic.secret/default, which resolves for the given
// callers and hides for all: what it has resolved, and what looks like a key in `environment`.
void provide_basics(host_services& services,
                    std::function<std::string(const std::string&)> resolve_secret,
                    std::vector<std::string> secret_callers,
                    const std::map<std::string, std::string>& environment);
}  // namespace rustic::runtime
