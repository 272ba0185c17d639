#include "kernel/abi/plugin_instance.hpp"

#include <algorithm>
#include <cstring>
#include <iterator>

#include "kernel/abi/limits.hpp"
#include "kernel/error.hpp"
#include "kernel/sharded_lock.hpp"

namespace rustic::kernel::abi {
namespace {

struct error_text {
  std::string text;
  rai_writer writer{this, [](void* self, rai_str piece) {
                      auto& out = static_cast<error_text*>(self)->text;
                      const auto room = lifecycle_error_bytes_max -
                                        std::min(out.size(), lifecycle_error_bytes_max);
                      try {
                        out.append(view(piece).substr(0, room));
                      } catch (...) {  // no memory for the reason: the status says enough
                      }
                    }};
};

std::string reason(const error_text& error, rai_status status) {
  return error.text.empty() ? "status " + std::to_string(status) : error.text;
}
}  // namespace

// The loader waits for these functions with its lock held: a call that needed it would never end.
class plugin_instance::lifecycle_call {
 public:
  explicit lifecycle_call(plugin_instance& of) noexcept : of_(of) {
    of_.lifecycle_thread_.store(thread_mark(), std::memory_order_relaxed);
  }
  ~lifecycle_call() { of_.lifecycle_thread_.store(0, std::memory_order_relaxed); }
  lifecycle_call(const lifecycle_call&) = delete;
  lifecycle_call& operator=(const lifecycle_call&) = delete;

 private:
  plugin_instance& of_;
};

plugin_instance::plugin_instance(kernel& owner, std::string id, std::uint32_t generation,
                                 log_sink log)
    : kernel_(owner),
      id_(std::move(id)),
      own_context_("{\"principal\":\"plugin:" + id_ + "\"}"),
      generation_(generation),
      log_(std::move(log)) {
  host_ = {sizeof(host_), RAI_ABI_MINOR, this,    &emit,    &finish,   &call_info,
           &call,         &cancel,       &resume, &abandon, &forward,  &publish,
           &subscribe,    &unsubscribe,  &list,   &provide, &withdraw, &plugin_instance::log};
}

plugin_instance::~plugin_instance() = default;

std::string plugin_instance::start(const std::filesystem::path& file, std::string_view config,
                                   const std::string* state) {
  std::string problem;
  library_ = library::open(file, problem);
  if (!library_ || !library_->table(table_, problem)) return "loading it failed: " + problem;
  const lifecycle_call inside(*this);
  error_text error;
  rai_status status = RAI_UNKNOWN;
  try {
    status = table_.create(&host_, str(config), &error.writer, &self_);
  } catch (...) {
    error.text = "create threw an exception";
  }
  if (status != RAI_OK) return reason(error, status);
  created_ = true;
  if (state)
    if (auto refused = restore(*state); !refused.empty()) return refused;
  if (!RAI_HAS(&table_, start)) {
    started_ = true;
    return {};
  }
  try {
    status = table_.start(self_, &error.writer);
  } catch (...) {
    status = RAI_UNKNOWN;
    error.text = "start threw an exception";
  }
  started_ = status == RAI_OK;
  return started_ ? std::string() : reason(error, status);
}

std::string plugin_instance::restore(const std::string& state) {
  if (!RAI_HAS(&table_, restore)) return {};
  error_text error;
  rai_status status = RAI_UNKNOWN;
  try {
    status = table_.restore(self_, str(state), &error.writer);
  } catch (...) {
    error.text = "restore threw an exception";
  }
  if (status == RAI_OK) return {};
  return "it does not take the state of the one before: " + reason(error, status);
}

std::optional<std::string> plugin_instance::save(std::string& problem) {
  if (!started_ || !RAI_HAS(&table_, save)) return std::nullopt;
  struct saved {
    std::string text;
    bool failed = false;
  } out;
  const rai_writer writer{&out, [](void* self, rai_str piece) {
                            auto& into = *static_cast<saved*>(self);
                            try {
                              if (into.text.size() + piece.len > saved_state_bytes_max)
                                into.failed = true;
                              if (!into.failed) into.text.append(view(piece));
                            } catch (...) {
                              into.failed = true;
                            }
                          }};
  const lifecycle_call inside(*this);
  rai_status status = RAI_UNKNOWN;
  try {
    status = table_.save(self_, &writer);
  } catch (...) {
    problem = "save threw an exception";
    return std::nullopt;
  }
  if (status != RAI_OK)
    problem = "save failed with status " + std::to_string(status);
  else if (out.failed)
    problem = "the state is larger than " + std::to_string(saved_state_bytes_max) + " bytes";
  if (!problem.empty()) return std::nullopt;
  return std::move(out.text);
}

std::string plugin_instance::service(std::string_view target, rai_service& out) {
  out = {};
  out.struct_size = sizeof(out);
  const lifecycle_call inside(*this);
  rai_status status = RAI_UNKNOWN;
  try {
    status = table_.service(self_, str(target), &out);
  } catch (...) {
    return "service(" + std::string(target) + ") threw an exception";
  }
  if (status != RAI_OK || !RAI_HAS(&out, call))
    return "it does not offer " + std::string(target) + " although its manifest says so";
  return {};
}

rai_status plugin_instance::bind(const std::string& target, offered& what) {
  const auto done = kernel_.names().provide({target, id_, what.attributes}, what.service);
  if (!done.ok()) {
    if (log_) log_(RAI_LOG_WARN, id_, 0, done.message);
    return done.status;
  }
  took_back(what.generation);
  what.generation = done.generation;
  return RAI_OK;
}

void plugin_instance::took_back(std::uint64_t generation) {
  if (generation == 0) return;
  if (taken_back_.size() >= taken_back_kept_max)
    std::erase_if(taken_back_, [this](auto g) { return kernel_.names().drained(g); });
  taken_back_.push_back(generation);
}

void plugin_instance::offer() {
  const std::scoped_lock lock(offers_mutex_);
  if (phase_ != phase::starting) return;
  phase_ = phase::serving;
  for (auto at = offers_.begin(); at != offers_.end();) {
    at = bind(at->first, at->second) == RAI_OK ? std::next(at) : offers_.erase(at);
  }
}

std::vector<std::uint64_t> plugin_instance::retire() {
  const std::scoped_lock lock(offers_mutex_);
  phase_ = phase::retired;
  for (const auto& [target, one] : offers_) {
    if (one.generation == 0) continue;
    // The next generation of the plugin may stand there already.
    (void)kernel_.names().withdraw(target, id_, one.generation);
    took_back(one.generation);
  }
  offers_.clear();
  return taken_back_;
}

void plugin_instance::stop() {
  (void)retire();
  try {
    if (started_ && RAI_HAS(&table_, stop)) table_.stop(self_);
    started_ = false;
  } catch (...) {
    if (log_) log_(RAI_LOG_ERROR, id_, 0, "stop threw an exception");
  }
  std::set<std::uint64_t> forgotten;
  {
    const std::scoped_lock lock(offers_mutex_);
    forgotten.swap(subscriptions_);
  }
  for (const auto subscription : forgotten) kernel_.events().unsubscribe(subscription);
  try {
    if (created_ && RAI_HAS(&table_, destroy)) table_.destroy(self_);
    created_ = false;
  } catch (...) {
    if (log_) log_(RAI_LOG_ERROR, id_, 0, "destroy threw an exception");
  }
}

rai_flow plugin_instance::emit(void* self, rai_call call, const rai_event* event) noexcept {
  return static_cast<plugin_instance*>(self)->kernel_.emit(call, *event);
}
void plugin_instance::finish(void* self, rai_call call, rai_status status, rai_str body) noexcept {
  static_cast<plugin_instance*>(self)->kernel_.finish(call, status, body);
}
rai_status plugin_instance::call_info(void* self, rai_call call, rai_call_info* out) noexcept {
  return static_cast<plugin_instance*>(self)->kernel_.info(call, out);
}
rai_call plugin_instance::call(void* self, rai_call parent, const rai_request* request,
                               const rai_observer* observer) noexcept {
  auto& me = *static_cast<plugin_instance*>(self);
  const auto lifecycle = me.lifecycle_thread_.load(std::memory_order_relaxed);
  if (lifecycle != 0 && lifecycle == thread_mark()) {
    me.refuse_call(*request, *observer);
    return 0;
  }
  if (parent != 0) return me.kernel_.call(parent, *request, *observer, me.id_);
  rai_request own = *request;  // nobody's account but its own
  own.context = str(me.own_context_);
  return me.kernel_.call(0, own, *observer, me.id_);
}
void plugin_instance::refuse_call(const rai_request& request, const rai_observer& observer) const {
  const auto message = "call of " + std::string(view(request.target)) + " refused: plugin " + id_ +
                       " made it while it was being started";
  if (log_) log_(RAI_LOG_WARN, id_, 0, message);
  if (!RAI_HAS(&observer, finish)) return;
  const auto body = error_body(
      message, "create, restore, start and save make no calls; make it when serving one.");
  try {
    observer.finish(observer.self, RAI_FAILED_PRECONDITION, str(body));
  } catch (...) {
    if (log_) log_(RAI_LOG_ERROR, id_, 0, "its finish function threw");
  }
}
void plugin_instance::cancel(void* self, rai_call call) noexcept {
  static_cast<plugin_instance*>(self)->kernel_.cancel(call);
}
void plugin_instance::resume(void* self, rai_call call) noexcept {
  static_cast<plugin_instance*>(self)->kernel_.resume(call);
}
void plugin_instance::abandon(void* self, rai_call call) noexcept {
  static_cast<plugin_instance*>(self)->kernel_.abandon(call);
}
void plugin_instance::forward(void* self, rai_call call, const rai_request* request) noexcept {
  static_cast<plugin_instance*>(self)->kernel_.forward(call, *request);
}
void plugin_instance::publish(void* self, rai_str topic, rai_str body) noexcept {
  static_cast<plugin_instance*>(self)->kernel_.events().publish(view(topic), view(body));
}
std::uint64_t plugin_instance::subscribe(void* self, rai_str pattern, rai_handler handler,
                                         void* handler_self) noexcept {
  auto& me = *static_cast<plugin_instance*>(self);
  try {
    // Under the lock, so that stop() finds it. Subscribing calls nobody.
    const std::scoped_lock lock(me.offers_mutex_);
    const auto made = me.kernel_.events().subscribe(view(pattern), handler, handler_self, me.id_);
    if (made != 0) me.subscriptions_.insert(made);
    return made;
  } catch (...) {
    return 0;
  }
}
void plugin_instance::unsubscribe(void* self, std::uint64_t subscription) noexcept {
  auto& me = *static_cast<plugin_instance*>(self);
  {
    const std::scoped_lock lock(me.offers_mutex_);
    me.subscriptions_.erase(subscription);
  }
  me.kernel_.events().unsubscribe(subscription);
}
void plugin_instance::list(void* self, rai_str pattern, rai_listing listing,
                           void* listing_self) noexcept {
  try {
    static_cast<plugin_instance*>(self)->kernel_.names().list(
        view(pattern),
        [&](const listed& one) { listing(listing_self, str(one.target), str(one.attributes)); });
  } catch (...) {  // no memory, or the plugin's own callback threw
  }
}
rai_status plugin_instance::provide(void* self, rai_str target, rai_str attributes,
                                    const rai_service* service) noexcept {
  auto& me = *static_cast<plugin_instance*>(self);
  try {
    const std::string name(view(target));
    const std::scoped_lock lock(me.offers_mutex_);
    if (me.phase_ == phase::retired) return RAI_FAILED_PRECONDITION;
    const auto known = me.offers_.find(name);
    offered made;
    if (known != me.offers_.end()) made = known->second;
    made.attributes = view(attributes);
    made.service = {};
    std::memcpy(&made.service, service,
                std::min<std::size_t>(service->struct_size, sizeof made.service));
    if (me.phase_ == phase::serving) {
      if (const auto status = me.bind(name, made); status != RAI_OK) return status;
    } else if (const auto there = me.kernel_.names().find(name); there && there->owner != me.id_) {
      return RAI_ALREADY_EXISTS;
    }
    me.offers_.insert_or_assign(name, std::move(made));
    return RAI_OK;
  } catch (...) {
    return RAI_RESOURCE_EXHAUSTED;
  }
}
void plugin_instance::withdraw(void* self, rai_str target) noexcept {
  auto& me = *static_cast<plugin_instance*>(self);
  try {
    const std::scoped_lock lock(me.offers_mutex_);
    const auto found = me.offers_.find(view(target));
    if (found == me.offers_.end()) return;  // what the manifest offers stays, the next one's too
    if (found->second.generation != 0) {
      (void)me.kernel_.names().withdraw(view(target), me.id_, found->second.generation);
      me.took_back(found->second.generation);
    }
    me.offers_.erase(found);
  } catch (...) {
  }
}
void plugin_instance::log(void* self, std::int32_t level, rai_call call, rai_str text) noexcept {
  auto& me = *static_cast<plugin_instance*>(self);
  try {
    if (me.log_) me.log_(level, me.id_, call, view(text).substr(0, log_line_bytes_max));
  } catch (...) {  // logging never fails a call
  }
}
}  // namespace rustic::kernel::abi
