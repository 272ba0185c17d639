#include <algorithm>
#include <cstring>
#include <rustic/plugin.hpp>

namespace rustic {

struct setup::entry {
  setup* owner = nullptr;
  coroutine_handler coroutine;
  blocking_handler blocking;
  rai_service raw{};
};

struct plugin_host::instance {
  explicit instance(const rai_host* host, json::object config) : plugin(host, std::move(config)) {}
  setup plugin;
  std::unique_ptr<object> value;
};

struct plugin_host::served {
  served(setup::entry* e, const rai_host* host, rai_call id, request r)
      : entry(e), ctx(host, id, std::move(r)) {}
  setup::entry* entry;
  context ctx;
};

setup::setup(const rai_host* host, json::object config) : host_(host), config_(std::move(config)) {}
setup::~setup() = default;

void setup::log(rai_log_level level, std::string_view text) const noexcept {
  if (RAI_HAS(host_, log)) host_->log(host_->self, level, 0, to_str(text));
}

void setup::coroutine(std::string target, coroutine_handler handler) {
  auto made = std::make_unique<entry>();
  made->owner = this;
  made->coroutine = std::move(handler);
  entries_[std::move(target)] = std::move(made);
}
void setup::blocking(std::string target, blocking_handler handler) {
  auto made = std::make_unique<entry>();
  made->owner = this;
  made->blocking = std::move(handler);
  entries_[std::move(target)] = std::move(made);
}
void setup::raw(std::string target, const rai_service& service) {
  auto made = std::make_unique<entry>();
  made->owner = this;
  made->raw = service;
  entries_[std::move(target)] = std::move(made);
}

namespace {
void say(const rai_writer* writer, const std::string& text) noexcept {
  if (writer && writer->append) writer->append(writer->self, to_str(text));
}
}  // namespace

rai_status plugin_host::fill(rai_plugin* out,
                             rai_status (*create_function)(const rai_host*, rai_str,
                                                           const rai_writer*, void**),
                             bool keeps_state) {
  rai_plugin table{};
  table.struct_size =
      static_cast<std::uint32_t>(std::min<std::size_t>(out->struct_size, sizeof(table)));
  table.create = create_function;
  table.start = &plugin_host::start;
  table.stop = &plugin_host::stop;
  table.destroy = &plugin_host::destroy;
  table.service = &plugin_host::service;
  if (keeps_state) {
    table.save = &plugin_host::save;
    table.restore = &plugin_host::restore;
  }
  std::memcpy(out, &table, table.struct_size);
  return RAI_OK;
}

namespace {
// For catch blocks. Memory may be what is missing, also for words about it.
template <class Tell>
rai_status told(const Tell& tell) noexcept {
  try {
    const auto problem = current_error();
    tell(problem);
    return static_cast<rai_status>(problem.code);
  } catch (...) {
    return RAI_RESOURCE_EXHAUSTED;
  }
}
}  // namespace

rai_status plugin_host::create(const rai_host* host, rai_str config, const rai_writer* error_writer,
                               void** self, maker make) noexcept {
  try {
    auto made = std::make_unique<instance>(host, parse_object(to_view(config), "configuration"));
    made->value = make(made->plugin);
    made->plugin.pool_ = std::make_unique<worker_pool>(made->plugin.parallel_);
    *self = made.release();
    return RAI_OK;
  } catch (...) {
    return told([&](const error& problem) {
      say(error_writer,
          problem.hint.empty() ? problem.message : problem.message + "; " + problem.hint);
    });
  }
}

rai_status plugin_host::start(void* self, const rai_writer* error_writer) noexcept {
  try {
    static_cast<instance*>(self)->value->start();
    return RAI_OK;
  } catch (...) {
    return told([&](const error& problem) { say(error_writer, problem.message); });
  }
}

void plugin_host::stop(void* self) noexcept {
  auto& me = *static_cast<instance*>(self);
  try {
    me.value->stop();
  } catch (...) {
    told([&](const error& problem) {
      me.plugin.log(RAI_LOG_ERROR, "stopping failed: " + problem.message);
    });
  }
  me.plugin.pool_->stop();
}

rai_status plugin_host::save(void* self, const rai_writer* state) noexcept {
  auto& me = *static_cast<instance*>(self);
  try {
    say(state, me.value->save());
    return RAI_OK;
  } catch (...) {
    return told([&](const error& problem) {
      me.plugin.log(RAI_LOG_ERROR, "saving the state failed: " + problem.message);
    });
  }
}

rai_status plugin_host::restore(void* self, rai_str state,
                                const rai_writer* error_writer) noexcept {
  try {
    static_cast<instance*>(self)->value->restore(to_view(state));
    return RAI_OK;
  } catch (...) {
    return told([&](const error& problem) { say(error_writer, problem.message); });
  }
}

void plugin_host::destroy(void* self) noexcept {
  delete static_cast<instance*>(self);
}

rai_status plugin_host::service(void* self, rai_str target, rai_service* out) noexcept {
  auto& me = *static_cast<instance*>(self);
  const auto found = me.plugin.entries_.find(to_view(target));
  if (found == me.plugin.entries_.end()) return RAI_NOT_FOUND;
  if (found->second->raw.call) {
    *out = found->second->raw;
    return RAI_OK;
  }
  out->struct_size = sizeof(rai_service);
  out->self = found->second.get();
  out->call = &plugin_host::call;
  return RAI_OK;
}

// After this the served call may be gone.
void plugin_host::finish(served* call, status_code status, std::string_view body) noexcept {
  const auto& host = call->ctx.host();
  host.finish(host.self, call->ctx.id(), static_cast<rai_status>(status), to_str(body));
}

void plugin_host::run_blocking(served* call) noexcept {
  auto status = status_code::ok;
  std::string body;
  try {
    body = call->entry->blocking(call->ctx);
  } catch (...) {
    const auto problem = current_error();
    status = problem.code;
    try {
      body = error_body(problem);
    } catch (...) {
    }
  }
  finish(call, status, body);
}

namespace {
// Runs the handler to its end and reports it. Its own frame outlives the served call.
template <class Served, class Finish>
detail::detached drive(Served* call, const coroutine_handler& handler, Finish finish) {
  auto status = status_code::ok;
  std::string body;
  try {
    body = co_await handler(call->ctx);
  } catch (...) {
    const auto problem = current_error();
    status = problem.code;
    try {
      body = error_body(problem);
    } catch (...) {
    }
  }
  finish(call, status, body);
}

// Lets a coroutine be started by its strand, as every later step of it is.
struct start_on {
  strand& lane;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> self) { lane.post(self); }
  void await_resume() const noexcept {}
};
template <class Step, class Refuse>
detail::detached on_strand(strand& lane, Step step, Refuse refuse) {
  try {
    co_await start_on{lane};
    step();
  } catch (...) {  // no memory for the first step
    refuse();
  }
}

constexpr std::string_view no_memory_body =
    R"({"message":"out of memory while taking the call","hint":"try again later"})";
}  // namespace

void plugin_host::call(void* self, const rai_request* r, rai_call id, rai_op* op) noexcept {
  auto* entry = static_cast<setup::entry*>(self);
  const auto* host = entry->owner->host_;
  try {
    request copy{std::string(to_view(r->target)),
                 std::string(to_view(r->method)),
                 std::string(to_view(r->body)),
                 std::string(to_view(r->data)),
                 std::string(to_view(r->context)),
                 r->revision,
                 r->flags};
    auto made = std::make_unique<served>(entry, host, id, std::move(copy));
    made->ctx.strand_ = std::make_shared<strand>();
    made->ctx.pool_ = entry->owner->pool_.get();
    auto* call = made.get();
    const auto lane = made->ctx.strand_;  // the call may be gone before its first step has returned
    op->struct_size = sizeof(rai_op);
    op->self = call;
    op->cancel = [](void* me) { static_cast<served*>(me)->ctx.on_cancel(); };
    op->resume = [](void* me) { static_cast<served*>(me)->ctx.on_resume(); };
    op->release = [](void* me) { delete static_cast<served*>(me); };
    made.release();
    if (entry->coroutine) {
      on_strand(
          *lane,
          [call, entry] {
            drive(call, entry->coroutine,
                  [](served* c, status_code s, std::string_view body) { finish(c, s, body); });
          },
          [call] { finish(call, status_code::resource_exhausted, no_memory_body); });
    } else if (!entry->owner->pool_->submit([call] { run_blocking(call); })) {
      finish(call, status_code::resource_exhausted,
             R"({"message":"too many calls wait for this plugin","hint":"try again later"})");
    }
  } catch (...) {
    host->finish(host->self, id, RAI_RESOURCE_EXHAUSTED, to_str(no_memory_body));
  }
}
}  // namespace rustic
