// The interceptor: decides about each tool call, asks where rules do not tell, remembers answers.
#pragma once
#include <cstdint>
#include <mutex>
#include <rustic/call.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "grants.hpp"
#include "rules.hpp"
#include "turn_queue.hpp"

namespace rustic::permission {

// Fails closed: whatever goes wrong inside, the call does not run.
// Threads: any; calls run side by side. Lives as long as the plugin.
class policy {
 public:
  // Throws failure(INVALID_ARGUMENT) for a configuration that cannot be read.
  policy(const rai_host* host, const json::object& config);

  // Serves one intercepted call: returns its result, or throws failure.
  task<std::string> intercept(context& ctx);
  turn_queue& turns() noexcept { return turns_; }

 private:
  struct open_call;

  task<std::string> judge(context& ctx);
  // What the person answered, or the denial. Leaves `why` as the decision in the end.
  task<void> settle(context& ctx, open_call& call, verdict& why);
  task<void> ask(context& ctx, open_call& call, verdict& why);
  task<verdict> decide(context& ctx, open_call& call);
  task<std::string> pass(context& ctx, std::string body);
  task<void> remember(context& ctx, open_call& call, std::vector<grant> grants, bool for_project);
  task<bool> read_stored(context& ctx, std::string scope, std::vector<grant>* out,
                         std::int64_t* version);
  task<bool> store(context& ctx, std::string scope, const std::vector<grant>* added);
  task<std::int64_t> now(context& ctx);
  bool is_read_only(const std::string& target) const;

  const rai_host* host_;
  rule_set rules_;
  std::uint32_t ask_timeout_ms_;
  turn_queue turns_;
  std::mutex mutex_;  // guards sessions_
  session_grants sessions_;
};

}  // namespace rustic::permission
