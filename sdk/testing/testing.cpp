#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <rustic/testing.hpp>
#include <thread>

namespace rustic::testing {
namespace {

constexpr int failures_max = 100;

answer failed(status_code code, const std::string& message) {
  return {code, error_body({code, message, "", {}, {}})};
}

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "FAILED: %s\n", why.c_str());
  std::abort();
}

rai_event to_event(const sent_event& from) {
  rai_event out{};
  out.kind = from.kind;
  out.index = from.index;
  out.a = from.a;
  out.b = from.b;
  out.text = to_str(from.text);
  return out;
}
}  // namespace

json::object answer::object() const {
  if (!ok()) throw failure(read_error(status, body));
  return parse_object(body, "answer");
}

std::string answer::joined(rai_event_kind kind) const {
  std::string out;
  for (const auto& event : events)
    if (event.kind == kind) out += event.text;
  return out;
}

void checks::operator()(bool holds, std::string_view what) {
  if (holds) return;
  std::fprintf(stderr, "FAILED: %.*s\n", static_cast<int>(what.size()), what.data());
  ++failed_;
}

void checks::equal(std::string_view actual, std::string_view expected, std::string_view what) {
  if (actual == expected) return;
  (*this)(false, std::string(what) + "\n  is       " + std::string(actual) + "\n  expected " +
                     std::string(expected));
}

int checks::failures() const noexcept {
  return std::min(failed_, failures_max);
}

// The host that the plugin sees. Calls that the plugin makes run on threads, joined at the end.
struct loaded_plugin::host {
  struct served {
    std::string target, context;
    answer outcome;
    bool finished = false, cancelled = false;
  };
  struct made {
    std::thread thread;
    bool paused = false, cancelled = false;
  };

  rai_host table{};
  void* library = nullptr;
  rai_plugin plugin{};
  void* self = nullptr;

  std::mutex mutex;  // guards what follows
  std::condition_variable changed;
  std::map<std::string, other_service, std::less<>> others;
  std::map<rai_call, served> serving;
  std::map<rai_call, made> making;
  rai_call last_id = 0;
  std::vector<std::string> log, topics;

  static host& of(void* self) { return *static_cast<host*>(self); }

  host() {
    table.struct_size = sizeof table;
    table.abi_minor = RAI_ABI_MINOR;
    table.self = this;
    table.emit = &emit;
    table.finish = &finish;
    table.call_info = &call_info;
    table.call = &make_call;
    table.cancel = &cancel;
    table.resume = &resume;
    table.abandon = &cancel;
    table.forward = &forward;
    table.publish = [](void* me, rai_str topic, rai_str body) {
      const std::lock_guard lock(of(me).mutex);
      of(me).topics.push_back(std::string(to_view(topic)) + " " + std::string(to_view(body)));
    };
    table.subscribe = [](void*, rai_str, rai_handler, void*) -> std::uint64_t { return 1; };
    table.unsubscribe = [](void*, std::uint64_t) {};
    table.list = &list;
    table.provide = [](void*, rai_str, rai_str, const rai_service*) -> rai_status {
      return RAI_OK;
    };
    table.withdraw = [](void*, rai_str) {};
    table.log = [](void* me, std::int32_t, rai_call, rai_str text) {
      const std::lock_guard lock(of(me).mutex);
      of(me).log.emplace_back(to_view(text));
    };
  }

  static rai_flow emit(void* me, rai_call call, const rai_event* event) {
    const std::lock_guard lock(of(me).mutex);
    const auto found = of(me).serving.find(call);
    if (found == of(me).serving.end() || found->second.finished || found->second.cancelled)
      return RAI_STOP;
    found->second.outcome.events.push_back(
        {event->kind, std::string(to_view(event->text)), event->index, event->a, event->b});
    return RAI_CONTINUE;
  }
  static void finish(void* me, rai_call call, rai_status status, rai_str body) {
    const std::lock_guard lock(of(me).mutex);
    const auto found = of(me).serving.find(call);
    if (found == of(me).serving.end()) return;
    if (found->second.finished) give_up(found->second.target + " has finished a call twice");
    found->second.outcome.status = static_cast<status_code>(status);
    found->second.outcome.body = to_view(body);
    found->second.finished = true;
    of(me).changed.notify_all();
  }
  static rai_status call_info(void* me, rai_call call, rai_call_info* out) {
    const std::lock_guard lock(of(me).mutex);
    const auto found = of(me).serving.find(call);
    if (found == of(me).serving.end()) return RAI_NOT_FOUND;
    out->cancelled = found->second.cancelled;
    out->root = call;
    out->deadline_ms = INT64_MAX;
    out->context = to_str(found->second.context);
    return RAI_OK;
  }
  static void list(void* me, rai_str pattern, rai_listing listing, void* listing_self) {
    std::vector<std::string> found;
    auto wanted = to_view(pattern);
    const bool all = wanted.ends_with("/*");
    if (all) wanted.remove_suffix(1);
    {
      const std::lock_guard lock(of(me).mutex);
      for (const auto& [target, _] : of(me).others)
        if (all ? target.starts_with(wanted) : target == wanted) found.push_back(target);
    }
    for (const auto& target : found) listing(listing_self, to_str(target), to_str("{}"));
  }

  answer ask(const asked& question) {
    other_service service;
    {
      const std::lock_guard lock(mutex);
      if (const auto found = others.find(question.target); found != others.end())
        service = found->second;
    }
    if (!service) return failed(status_code::not_found, "nobody answers for " + question.target);
    try {
      return service(question);
    } catch (...) {
      const auto problem = current_error();
      return {problem.code, error_body(problem)};
    }
  }
  // Under the lock. An empty target is that of the intercepted call.
  asked question_of(const rai_request& request, rai_call parent) {
    asked out{std::string(to_view(request.target)), std::string(to_view(request.method)),
              std::string(to_view(request.body)), std::string(to_view(request.data))};
    if (request.flags & RAI_NEXT || out.target.empty())
      if (const auto found = serving.find(parent); found != serving.end())
        out.target = found->second.target;
    return out;
  }

  static rai_call make_call(void* me, rai_call parent, const rai_request* request,
                            const rai_observer* observer) {
    auto& host = of(me);
    const std::lock_guard lock(host.mutex);
    const auto id = ++host.last_id;
    host.making[id].thread = std::thread([&host, id, question = host.question_of(*request, parent),
                                          seen = *observer] { host.run(id, question, seen); });
    return id;
  }
  void run(rai_call id, const asked& question, const rai_observer& seen) {
    auto outcome = ask(question);
    bool stopped = false;
    for (const auto& one : outcome.events) {
      std::unique_lock lock(mutex);
      auto& call = making[id];
      changed.wait(lock, [&] { return !call.paused || call.cancelled; });
      if ((stopped = call.cancelled)) break;
      lock.unlock();
      if (!seen.event) continue;
      // Set before the event is told: the resume may come before its return.
      lock.lock();
      call.paused = true;
      lock.unlock();
      const auto event = to_event(one);
      const auto flow = seen.event(seen.self, &event);
      if (flow != RAI_PAUSE) resume(this, id);
      if ((stopped = flow == RAI_STOP)) break;
    }
    if (stopped) outcome = failed(status_code::cancelled, "the call was cancelled");
    seen.finish(seen.self, static_cast<rai_status>(outcome.status), to_str(outcome.body));
  }
  static void resume(void* me, rai_call call) {
    const std::lock_guard lock(of(me).mutex);
    if (const auto found = of(me).making.find(call); found != of(me).making.end())
      found->second.paused = false;
    of(me).changed.notify_all();
  }
  static void cancel(void* me, rai_call call) {
    const std::lock_guard lock(of(me).mutex);
    if (const auto found = of(me).making.find(call); found != of(me).making.end())
      found->second.cancelled = true;
    of(me).changed.notify_all();
  }
  static void forward(void* me, rai_call call, const rai_request* request) {
    auto& host = of(me);
    const std::lock_guard lock(host.mutex);
    host.making[++host.last_id].thread =
        std::thread([&host, call, question = host.question_of(*request, call)] {
          const auto outcome = host.ask(question);
          for (const auto& one : outcome.events) {
            const auto event = to_event(one);
            emit(&host, call, &event);
          }
          finish(&host, call, static_cast<rai_status>(outcome.status), to_str(outcome.body));
        });
  }

  answer serve(std::string_view service_target, const asked& question, std::uint32_t flags,
               const json::object& context, bool cancel_at_once) {
    rai_service service{};
    service.struct_size = sizeof service;
    const auto found = plugin.service(self, to_str(service_target), &service);
    if (found != RAI_OK) return {static_cast<status_code>(found), "{}"};
    rai_call id = 0;
    {
      const std::lock_guard lock(mutex);
      id = ++last_id;
      serving[id].target = question.target;
      serving[id].context = json::serialize(context);
    }
    rai_op op{};
    op.struct_size = sizeof op;
    {
      // Gone when `call` has returned, as with the real host.
      auto copy = std::make_unique<asked>(question);
      rai_request request{};
      request.struct_size = sizeof request;
      request.flags = flags;
      request.revision = 1;
      request.target = to_str(copy->target);
      request.method = to_str(copy->method);
      request.body = to_str(copy->body);
      request.data = to_str(copy->data);
      service.call(service.self, &request, id, &op);
    }
    if (cancel_at_once) {
      {
        const std::lock_guard lock(mutex);
        serving[id].cancelled = true;
      }
      if (RAI_HAS(&op, cancel)) op.cancel(op.self);
    }
    answer outcome;
    {
      std::unique_lock lock(mutex);
      if (!changed.wait_for(lock, std::chrono::milliseconds(answer_ms_max),
                            [&] { return serving[id].finished; }))
        give_up(question.method + " of " + question.target + " did not finish");
      outcome = serving[id].outcome;
    }
    if (RAI_HAS(&op, release)) op.release(op.self);
    return outcome;
  }

  void join_all() {
    std::map<rai_call, made> left;
    {
      const std::lock_guard lock(mutex);
      for (auto& [_, one] : making) one.cancelled = true;
      changed.notify_all();
    }
    for (auto& [_, one] : making)
      if (one.thread.joinable()) one.thread.join();
  }
};

loaded_plugin::loaded_plugin(const std::string& file, const json::object& config)
    : host_(std::make_unique<host>()) {
  auto& me = *host_;
  me.library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!me.library) throw failure(status_code::unavailable, dlerror());
  const auto entry =
      reinterpret_cast<decltype(&rai_plugin_entry_v1)>(dlsym(me.library, "rai_plugin_entry_v1"));
  if (!entry) throw failure(status_code::not_found, file + " has no rai_plugin_entry_v1");
  std::string words;
  const rai_writer writer{&words, [](void* self, rai_str text) {
                            static_cast<std::string*>(self)->append(to_view(text));
                          }};
  me.plugin.struct_size = sizeof me.plugin;
  auto status = entry(RAI_ABI_MINOR, &me.plugin);
  if (status == RAI_OK)
    status = me.plugin.create(&me.table, to_str(json::serialize(config)), &writer, &me.self);
  if (status != RAI_OK) throw failure(static_cast<status_code>(status), words);
  if (RAI_HAS(&me.plugin, start) && (status = me.plugin.start(me.self, &writer)) != RAI_OK) {
    if (RAI_HAS(&me.plugin, destroy)) me.plugin.destroy(me.self);
    throw failure(static_cast<status_code>(status), words);
  }
}

loaded_plugin::~loaded_plugin() {
  host_->join_all();
  if (RAI_HAS(&host_->plugin, stop)) host_->plugin.stop(host_->self);
  if (RAI_HAS(&host_->plugin, destroy)) host_->plugin.destroy(host_->self);
}

void loaded_plugin::answer_for(std::string target, other_service service) {
  const std::lock_guard lock(host_->mutex);
  host_->others[std::move(target)] = std::move(service);
}

answer loaded_plugin::call(std::string_view target, std::string_view method,
                           const json::object& body, const json::object& context,
                           std::string_view data) {
  const asked question{std::string(target), std::string(method), json::serialize(body),
                       std::string(data)};
  return host_->serve(target, question, 0, context, false);
}

answer loaded_plugin::call_and_cancel(std::string_view target, std::string_view method,
                                      const json::object& body) {
  const asked question{std::string(target), std::string(method), json::serialize(body), {}};
  return host_->serve(target, question, 0, {}, true);
}

answer loaded_plugin::intercept(std::string_view interceptor, std::string_view target,
                                std::string_view method, const json::object& body,
                                const json::object& context) {
  const asked question{std::string(target), std::string(method), json::serialize(body), {}};
  return host_->serve(interceptor, question, RAI_INTERCEPTED, context, false);
}

std::vector<std::string> loaded_plugin::logged() const {
  const std::lock_guard lock(host_->mutex);
  return host_->log;
}

std::vector<std::string> loaded_plugin::published() const {
  const std::lock_guard lock(host_->mutex);
  return host_->topics;
}

answer loaded_plugin::save() const {
  answer out;
  out.body.clear();
  const rai_writer writer{&out.body, [](void* self, rai_str text) {
                            static_cast<std::string*>(self)->append(to_view(text));
                          }};
  out.status = RAI_HAS(&host_->plugin, save)
                   ? static_cast<status_code>(host_->plugin.save(host_->self, &writer))
                   : status_code::unimplemented;
  return out;
}

status_code loaded_plugin::restore(std::string_view state) {
  if (!RAI_HAS(&host_->plugin, restore)) return status_code::unimplemented;
  const rai_writer nowhere{nullptr, [](void*, rai_str) {}};
  return static_cast<status_code>(host_->plugin.restore(host_->self, to_str(state), &nowhere));
}
}  // namespace rustic::testing
