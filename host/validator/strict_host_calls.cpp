// strict_host_calls.cpp - the calls that a plugin makes, the bus, the log, and the table itself.
#include <algorithm>
#include <rustic/json.hpp>
#include <rustic/status.hpp>

#include "host/validator/failing_memory.hpp"
#include "host/validator/strict_host.hpp"
#include "host/validator/strict_host_state.hpp"
#include "host/validator/trial.hpp"

namespace rustic::validator {
namespace {
constexpr std::size_t log_bytes_max = 1u << 20;
constexpr std::size_t log_line_bytes_max = 16u * 1024;

bool fits(std::string_view pattern, std::string_view name) {
  if (!pattern.empty() && pattern.back() == '*')
    return name.starts_with(pattern.substr(0, pattern.size() - 1));
  return pattern == name;
}
std::string_view interface_of(std::string_view target) {
  return target.substr(0, target.find('/'));
}
}  // namespace

std::string strict_host::check_request(const rai_request& request) const {
  if (request.struct_size < offsetof(rai_request, context) + sizeof(request.context))
    return "struct_size is " + std::to_string(request.struct_size);
  const auto target = to_view(request.target);
  if ((request.flags & RAI_NEXT) == 0) {
    const auto slash = target.find('/');
    if (slash == std::string_view::npos || slash == 0 || slash + 1 == target.size())
      return "the target is \"" + shown(target, 60) + "\"";
  }
  if ((request.flags & RAI_SHIELDED) != 0 && request.timeout_ms == 0)
    return "RAI_SHIELDED without timeout_ms";
  if ((request.flags & ~static_cast<std::uint32_t>(RAI_SHIELDED | RAI_NEXT)) != 0)
    return "flags are " + std::to_string(request.flags);
  for (const auto text : {to_view(request.body), to_view(request.context)}) {
    if (text.empty()) continue;
    try {
      (void)parse_object(text);
    } catch (const std::exception& problem) {
      return "a text that is no JSON object: " + shown(text, 60);
    }
  }
  return {};
}

rai_call strict_host::call(rai_call parent, const rai_request& request,
                           const rai_observer& observer) {
  const auto target = std::string(to_view(request.target));
  const bool is_next = (request.flags & RAI_NEXT) != 0;
  if (is_lifecycle) note(breach::call_in_lifecycle, "create or start called " + target);
  if (const auto problem = check_request(request); !problem.empty())
    note(breach::request_malformed, "a call to " + shown(target, 60) + ": " + problem);
  if (!is_next && std::none_of(declared.begin(), declared.end(), [&](const std::string& one) {
        return interface_of(one) == interface_of(target);
      }))
    note(breach::undeclared_target, "a call to " + shown(target, 60));
  auto made = std::make_shared<outgoing>();
  made->parent = parent;
  made->is_shielded = (request.flags & RAI_SHIELDED) != 0;
  made->observer = observer;
  made->script = services.answer({target, std::string(to_view(request.method)),
                                  std::string(to_view(request.body)),
                                  std::string(to_view(request.data)), is_next});
  bool later = false;
  {
    const std::lock_guard lock(mutex_);
    made->id = ++last_call_;
    outgoing_[made->id] = made;
    ++outgoing_made_;
    if (parent != 0) {
      const auto served = find(parent);
      const auto below = outgoing_.find(parent);
      if (!served && below == outgoing_.end() && breaches_.size() < breaches_max)
        breaches_.emplace_back(breach::request_foreign_parent,
                               "a call to " + target + " whose parent never was a call");
      if (served && (served->is_cancelled || served->is_finished) && !made->is_shielded)
        made->is_cancelled = true;
    }
    later = answer_later;
    if (later) due_.push_back(made);
  }
  const auto id = made->id;
  if (later)
    changed_.notify_all();
  else
    play(made);
  return id;
}

void strict_host::revoke(guarded_memory memory) {
  memory.revoke();
  const std::lock_guard lock(mutex_);
  if (revoked_.size() < revoked_answers_max) revoked_.push_back(std::move(memory));
}

void strict_host::deliver_finish(const rai_observer& to, rai_status status, std::string_view body) {
  std::optional<guarded_memory> text;
  if (revokes_answers) text.emplace(body);
  try {
    const memory_counted plugin;
    to.finish(to.self, status, text ? rai_str{text->data(), text->size()} : to_str(body));
  } catch (...) {
    note(breach::exception, "an observer's finish threw an exception");
  }
  if (text) revoke(std::move(*text));
}

rai_flow strict_host::deliver_event(const rai_observer& to, const rai_event& event) {
  std::optional<guarded_memory> text, place;
  const auto* at = &event;
  if (revokes_answers) {
    text.emplace(to_view(event.text));
    place.emplace(sizeof(event));
    auto* const copy = reinterpret_cast<rai_event*>(place->data());
    *copy = event;
    copy->text = {text->data(), text->size()};
    at = copy;
  }
  rai_flow flow = RAI_STOP;
  try {
    const memory_counted plugin;
    flow = to.event(to.self, at);
  } catch (...) {
    note(breach::exception, "an observer's event threw an exception");
  }
  if (text) revoke(std::move(*text));
  if (place) revoke(std::move(*place));
  return flow;
}

void strict_host::play(const std::shared_ptr<outgoing>& call) {
  auto& o = *call;
  std::unique_lock lock(mutex_);
  if (o.is_playing) {
    o.again = true;
    return;
  }
  o.is_playing = true;
  const auto end = [&](rai_status status, std::string_view body) {
    o.is_finished = true;
    lock.unlock();
    deliver_finish(o.observer, status, body);
    lock.lock();
  };
  do {
    o.again = false;
    while (!o.is_finished && !(o.is_paused && !o.is_cancelled)) {
      if (o.is_cancelled || o.next >= o.script.size()) {
        end(RAI_CANCELLED, R"({"message":"the call was cancelled"})");
        break;
      }
      const auto& step = o.script[o.next++];
      if (step.is_finish) {
        end(step.status, step.text);
        break;
      }
      if (!RAI_HAS(&o.observer, event)) continue;
      const std::uint32_t index = step.kind == RAI_EVENT_OUTPUT ? 1 : 0;  // standard output
      const rai_event event{step.kind, 0, index, step.a, 0, to_str(step.text)};
      const auto resumes = o.resumes;
      lock.unlock();
      const auto flow = deliver_event(o.observer, event);
      lock.lock();
      if (flow == RAI_STOP) o.is_cancelled = true;
      if (flow == RAI_PAUSE && o.resumes == resumes) o.is_paused = true;
    }
  } while (o.again);
  o.is_playing = false;
  lock.unlock();
  changed_.notify_all();
}

void strict_host::pump_one(std::unique_lock<std::mutex>& lock) {
  const auto next = due_.front();
  due_.pop_front();
  lock.unlock();
  play(next);
  lock.lock();
}

void strict_host::cancel_children(rai_call parent) {
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, child] : outgoing_) {
      if (child->parent != parent || child->is_finished || child->is_shielded) continue;
      child->is_cancelled = true;
      due_.push_back(child);
    }
  }
  changed_.notify_all();
}

void strict_host::forward(rai_call id, const rai_request& request) {
  if (const auto problem = check_request(request);
      !problem.empty() && to_view(request.target).find('/') != std::string_view::npos)
    note(breach::request_malformed, "forward: " + problem);
  {
    const std::lock_guard lock(mutex_);
    const auto call = find(id);
    if (!call || call->is_finished) return;
    call->is_forwarded = true;
  }
  finish(id, RAI_OK, to_str(R"({"success":true,"output":"forwarded","error":null,"metadata":{}})"));
}

void strict_host::log(std::int32_t level, rai_str text) {
  const auto words = to_view(text);
  if (level < RAI_LOG_TRACE || level > RAI_LOG_ERROR)
    note(breach::log_malformed, "level " + std::to_string(level));
  if (!is_utf8(words)) note(breach::log_malformed, "no UTF-8: " + shown(words, 60));
  if (words.size() > log_line_bytes_max)
    note(breach::log_malformed, "a line of " + std::to_string(words.size()) + " bytes");
  const std::lock_guard lock(mutex_);
  if (log_.size() < log_bytes_max) log_.append(words.substr(0, log_line_bytes_max)) += '\n';
}

rai_host strict_host::entry::make(strict_host* self) noexcept {
  rai_host host{};
  host.struct_size = sizeof(host);
  host.abi_minor = RAI_ABI_MINOR;
  host.self = self;
  host.emit = [](void* s, rai_call call, const rai_event* event) -> rai_flow {
    const memory_exempt here;
    if (me(s).is_destroyed) me(s).note(breach::after_destroy, "emit after destroy");
    return me(s).emit(call, *event);
  };
  host.finish = [](void* s, rai_call call, rai_status status, rai_str body) {
    const memory_exempt here;
    if (me(s).is_destroyed) me(s).note(breach::after_destroy, "finish after destroy");
    me(s).finish(call, status, body);
  };
  host.call_info = [](void* s, rai_call call, rai_call_info* out) -> rai_status {
    const memory_exempt here;
    return me(s).info(call, *out);
  };
  host.call = [](void* s, rai_call parent, const rai_request* request,
                 const rai_observer* observer) -> rai_call {
    const memory_exempt here;
    if (me(s).is_destroyed) me(s).note(breach::after_destroy, "call after destroy");
    return me(s).call(parent, *request, *observer);
  };
  const auto end_early = [](void* s, rai_call call) {
    const memory_exempt here;
    std::shared_ptr<outgoing> found;
    {
      const std::lock_guard lock(me(s).mutex_);
      const auto place = me(s).outgoing_.find(call);
      if (place == me(s).outgoing_.end() || place->second->is_finished) return;
      found = place->second;
      found->is_cancelled = true;
      me(s).due_.push_back(found);
    }
    me(s).changed_.notify_all();
  };
  host.cancel = end_early;
  host.abandon = end_early;
  host.resume = [](void* s, rai_call call) {
    const memory_exempt here;
    {
      const std::lock_guard lock(me(s).mutex_);
      const auto place = me(s).outgoing_.find(call);
      if (place == me(s).outgoing_.end()) return;
      place->second->is_paused = false;
      ++place->second->resumes;
      me(s).due_.push_back(place->second);
    }
    me(s).changed_.notify_all();
  };
  host.forward = [](void* s, rai_call call, const rai_request* request) {
    const memory_exempt here;
    me(s).forward(call, *request);
  };
  host.publish = [](void* s, rai_str topic, rai_str body) {
    const memory_exempt here;
    std::vector<subscription> due;
    {
      const std::lock_guard lock(me(s).mutex_);
      for (const auto& [id, one] : me(s).subscriptions_)
        if (fits(one.pattern, to_view(topic))) due.push_back(one);
    }
    for (const auto& one : due) one.handler(one.self, topic, body);
  };
  host.subscribe = [](void* s, rai_str pattern, rai_handler handler, void* self_of) -> uint64_t {
    const memory_exempt here;
    const std::lock_guard lock(me(s).mutex_);
    me(s).subscriptions_[++me(s).last_subscription_] = {std::string(to_view(pattern)), handler,
                                                        self_of};
    return me(s).last_subscription_;
  };
  host.unsubscribe = [](void* s, uint64_t id) {
    const memory_exempt here;
    const std::lock_guard lock(me(s).mutex_);
    me(s).subscriptions_.erase(id);
  };
  host.list = [](void* s, rai_str pattern, rai_listing listing, void* self_of) {
    const memory_exempt here;
    for (const auto& target : me(s).services.targets())
      if (fits(to_view(pattern), target)) listing(self_of, to_str(target), to_str("{}"));
  };
  host.provide = [](void* s, rai_str target, rai_str, const rai_service*) -> rai_status {
    const memory_exempt here;
    const std::lock_guard lock(me(s).mutex_);
    me(s).provided_.emplace_back(to_view(target));
    return RAI_OK;
  };
  host.withdraw = [](void* s, rai_str target) {
    const memory_exempt here;
    const std::lock_guard lock(me(s).mutex_);
    std::erase(me(s).provided_, std::string(to_view(target)));
  };
  host.log = [](void* s, int32_t level, rai_call, rai_str text) {
    const memory_exempt here;
    if (me(s).is_destroyed) me(s).note(breach::after_destroy, "log after destroy");
    me(s).log(level, text);
  };
  return host;
}
}  // namespace rustic::validator
