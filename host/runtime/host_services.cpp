#include "host/runtime/host_services.hpp"

#include <sys/random.h>

#include <algorithm>
#include <chrono>
#include <mutex>

#include "host/runtime/config/redact.hpp"
#include "host/runtime/limits.hpp"
#include "host/runtime/timer_thread.hpp"
#include "kernel/kernel.hpp"

namespace rustic::runtime {

std::int64_t unix_now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

id_maker::id_maker() = default;

std::string id_maker::make(std::int64_t unix_ms) {
  std::scoped_lock lock(mutex_);
  if (unix_ms > last_ms_) {
    last_ms_ = unix_ms;
    std::uint64_t fresh[2] = {};
    if (getrandom(fresh, sizeof(fresh), 0) != sizeof(fresh)) {
      fresh[0] = high_ * 6364136223846793005u + static_cast<std::uint64_t>(unix_ms);
      fresh[1] = low_ + 1;
    }
    high_ = fresh[0] & 0xFFFF;
    low_ = fresh[1];
  } else if (++low_ == 0) {
    ++high_;
  }
  constexpr char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  std::string out(26, '0');
  auto time = static_cast<std::uint64_t>(last_ms_);
  for (int i = 9; i >= 0; --i, time >>= 5) out[static_cast<std::size_t>(i)] = digits[time & 31];
  auto low = low_;
  auto high = high_;
  for (int i = 25; i >= 10; --i) {
    out[static_cast<std::size_t>(i)] = digits[low & 31];
    low = (low >> 5) | (high << 59);
    high >>= 5;
  }
  return out;
}

struct host_services::entry {
  kernel::kernel& owner;
  std::string target;
  handler function;
  asynchronous later;

  static void call(void* self, const rai_request* request, rai_call id, rai_op* op);
  void answer_now(const rai_request& request, rai_call id);
  void answer_later(const rai_request& request, rai_call id, rai_op& op);
};

void host_services::entry::call(void* self, const rai_request* request, rai_call id, rai_op* op) {
  auto& me = *static_cast<entry*>(self);
  if (me.function)
    me.answer_now(*request, id);
  else
    me.answer_later(*request, id, *op);
}

void host_services::entry::answer_now(const rai_request& request, rai_call id) {
  auto status = status_code::ok;
  std::string body;
  try {
    rai_call_info info{};
    info.struct_size = sizeof(info);
    owner.info(id, &info);
    body = function(to_view(request.method), parse_object(to_view(request.body), target),
                    to_view(info.caller));
  } catch (...) {
    const auto problem = current_error();
    status = problem.code;
    body = error_body(problem);
  }
  owner.finish(id, static_cast<rai_status>(status), to_str(body));
}

void host_services::entry::answer_later(const rai_request& request, rai_call id, rai_op& op) {
  using cancel_hook = std::shared_ptr<std::function<void()>>;
  const auto hook = std::make_shared<std::function<void()>>();
  question asked;
  asked.method = to_view(request.method);
  asked.body = to_view(request.body);
  asked.context = to_view(request.context);
  asked.on_cancel = hook;
  asked.answer = [kernel = &owner, id](status_code status, std::string_view body) {
    kernel->finish(id, static_cast<rai_status>(status), to_str(body));
  };
  op.struct_size = sizeof(op);
  op.self = new cancel_hook(hook);
  op.cancel = [](void* self) {
    const auto& stop = **static_cast<cancel_hook*>(self);
    if (stop) stop();
  };
  op.release = [](void* self) { delete static_cast<cancel_hook*>(self); };
  try {
    later(std::move(asked));
  } catch (...) {
    const auto problem = current_error();
    const auto body = error_body(problem);
    owner.finish(id, static_cast<rai_status>(problem.code), to_str(body));
  }
}

host_services::host_services(kernel::kernel& owner) : kernel_(owner) {}

host_services::~host_services() {
  for (const auto& one : entries_) (void)kernel_.names().withdraw(one->target, {});
}

void host_services::provide(std::string target, handler function, const json::object& attributes) {
  entries_.push_back(
      std::make_unique<entry>(entry{kernel_, std::move(target), std::move(function), {}}));
  const rai_service service{sizeof(service), 0, entries_.back().get(), &entry::call};
  const auto told = attributes.empty() ? std::string() : json::serialize(attributes);
  const auto done = kernel_.names().provide({entries_.back()->target, {}, told}, service);
  if (!done.ok()) throw failure(static_cast<status_code>(done.status), done.message);
}

void host_services::provide_later(std::string target, asynchronous function) {
  entries_.push_back(
      std::make_unique<entry>(entry{kernel_, std::move(target), {}, std::move(function)}));
  const rai_service service{sizeof(service), 0, entries_.back().get(), &entry::call};
  const auto done = kernel_.names().provide({entries_.back()->target, {}, {}}, service);
  if (!done.ok()) throw failure(static_cast<status_code>(done.status), done.message);
}

void host_services::withdraw(std::string_view target) {
  (void)kernel_.names().withdraw(target, {});
}

void provide_timer(host_services& services, timer_thread& timer) {
  services.provide_later("rustic.timer/default", [&timer](host_services::question asked) {
    using clock = timer_thread::clock;
    const auto told_now = [] {
      const auto now_ms = clock::now().time_since_epoch() / std::chrono::milliseconds(1);
      return json::serialize(json::object{{"now_ms", now_ms}});
    };
    if (asked.method == "now") return asked.answer(status_code::ok, told_now());
    if (asked.method != "wait")
      throw failure(status_code::unimplemented, "rustic.timer has no method " + asked.method,
                    "it has: now, wait");
    const auto wait_ms = require_int(parse_object(asked.body, "wait"), "ms", "wait");
    if (wait_ms < 0 || wait_ms > timer_wait_ms_max)
      throw failure(status_code::invalid_argument,
                    "waiting " + std::to_string(wait_ms) + " ms: that is out of range",
                    "it takes 0 to " + std::to_string(timer_wait_ms_max));
    const auto job =
        timer.run_at(clock::now() + std::chrono::milliseconds(wait_ms),
                     [answer = asked.answer, told_now] { answer(status_code::ok, told_now()); });
    *asked.on_cancel = [&timer, job, answer = asked.answer] {
      if (timer.forget(job)) answer(status_code::cancelled, R"({"message":"waiting: cancelled"})");
    };
  });
}

namespace {

// What must not be written where others may read it. Threads: any.
class known_secrets {
 public:
  explicit known_secrets(const std::map<std::string, std::string>& environment) {
    for (const auto& [name, value] : environment)
      if (config::is_secret_name(name) && value.size() >= unused_secret_bytes_min &&
          value.find_first_of("0123456789") != std::string::npos)
        add(value);
  }

  void add(const std::string& value) {
    if (value.size() < hidden_secret_bytes_min) return;
    std::scoped_lock lock(mutex_);
    if (std::find(values_.begin(), values_.end(), value) != values_.end()) return;
    if (values_.size() >= hidden_secrets_max) values_.erase(values_.begin());
    values_.push_back(value);
    // As text inside of JSON writes it.
    const auto quoted = json::serialize(json::value(to_utf8(value)));
    if (quoted.size() > value.size() + 2) values_.push_back(quoted.substr(1, quoted.size() - 2));
  }

  // Each as so many 'x': what is split elsewhere stays split there.
  json::string hide(const json::string& text) const {
    json::string out = text;
    std::scoped_lock lock(mutex_);
    for (const auto& value : values_)
      for (auto at = out.find(value); at != json::string::npos; at = out.find(value, at))
        std::fill_n(out.begin() + static_cast<std::ptrdiff_t>(at), value.size(), 'x');
    return out;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> values_;
};

json::object hidden(const json::object& body, const known_secrets& secrets) {
  json::array out;
  for (const auto& text : array_or_empty(body, "texts"))
    out.push_back(text.is_string() ? json::value(secrets.hide(text.get_string())) : text);
  return {{"texts", std::move(out)}};
}

void check_method(const char* service, std::string_view method, std::string_view known) {
  if (method != known)
    throw failure(status_code::unimplemented,
                  std::string(service) + " has no method " + std::string(method));
}
}  // namespace

void provide_basics(host_services& services,
                    std::function<std::string(const std::string&)> resolve_secret,
                    std::vector<std::string> secret_callers,
                    const std::map<std::string, std::string>& environment) {
  services.provide("rustic.clock/default",
                   [](std::string_view method, const json::object&, std::string_view) {
                     check_method("rustic.clock/default", method, "now");
                     return json::serialize(json::object{{"unix_ms", unix_now_ms()}});
                   });
  const auto maker = std::make_shared<id_maker>();
  services.provide("rustic.id/default", [maker](std::string_view method, const json::object& body,
                                                std::string_view) {
    check_method("rustic.id/default", method, "new");
    const std::string prefix(text_or(body, "prefix"));
    return json::serialize(json::object{{"id", prefix + maker->make(unix_now_ms())}});
  });
  const auto secrets = std::make_shared<known_secrets>(environment);
  services.provide("rustic.secret/default", [resolve = std::move(resolve_secret),
                                             callers = std::move(secret_callers), secrets](
                                                std::string_view method, const json::object& body,
                                                std::string_view caller) {
    if (method == "hide") return json::serialize(hidden(body, *secrets));
    check_method("rustic.secret/default", method, "resolve");
    if (std::find(callers.begin(), callers.end(), caller) == callers.end())
      throw failure(status_code::permission_denied,
                    "resolving a secret for plugin \"" + std::string(caller) + "\": not allowed",
                    "only transports get secrets");
    const std::string reference(require_text(body, "reference", "resolve"));
    if (!resolve)
      throw failure(status_code::unimplemented, "resolving " + reference + ": no secrets here");
    const auto value = resolve(reference);
    if (value.size() > secret_bytes_max)
      throw failure(status_code::out_of_range, "resolving " + reference + ": it is too long");
    secrets->add(value);
    return json::serialize(json::object{{"value", value}});
  });
}
}  // namespace rustic::runtime
