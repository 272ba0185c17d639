#include "runner.hpp"

#include <dlfcn.h>
#include <unistd.h>

#include <exception>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "../keeper_protocol.hpp"
#include "bus_handlers.hpp"
#include "confinement.hpp"
#include "dispatcher.hpp"
#include "own_calls.hpp"
#include "questions.hpp"
#include "served_calls.hpp"

namespace rustic::cell {
namespace {

constexpr std::size_t error_bytes_max = 4'096;      // what the kernel keeps of it
constexpr std::size_t state_bytes_max = 16u << 20;  // of save

// Takes the pieces of a text.
class collected {
 public:
  explicit collected(std::size_t bytes_max) : bytes_max_(bytes_max) {}
  std::string text;
  bool whole = true;
  rai_writer writer{this, [](void* self, rai_str piece) {
                      auto& me = *static_cast<collected*>(self);
                      const auto room = me.bytes_max_ - me.text.size();
                      me.whole = me.whole && piece.len <= room;
                      me.text.append(view(piece).substr(0, room));
                    }};

 private:
  const std::size_t bytes_max_;
};

class runner {
 public:
  runner()
      : out_(frames_descriptor),
        threads_(*new dispatcher(frames_descriptor, [this](const frame& in) { return take(in); })),
        served_(out_, threads_),
        own_(out_, threads_),
        bus_(out_),
        questions_(questions_descriptor) {
    host_ = {sizeof host_, RAI_ABI_MINOR, this,    &emit,    &finish,   &call_info,
             &call,        &cancel,       &resume, &abandon, &forward,  &publish,
             &subscribe,   &unsubscribe,  &list,   &provide, &withdraw, &runner::log};
  }

  [[noreturn]] void run() {
    frame first = threads_.read_one();
    if (first.type != frame_type::load) ::_exit(70);
    load(first.payload);
    threads_.run();
  }

 private:
  // The life of the plugin. Each function of it ends with done().

  class lifecycle_step final : public step {
   public:
    lifecycle_step(runner& owner, frame_type type, std::string_view payload)
        : owner_(owner), type_(type), payload_(payload) {}
    void run() override { owner_.live(type_, payload_); }

   private:
    runner& owner_;
    const frame_type type_;
    const std::string payload_;
  };

  void done(rai_status status, std::string_view text, std::string_view note = {}) {
    out_.post(true, [&](std::string& out) {
      frame_writer(out, frame_type::done).i32(status).text(text).text(note).end();
    });
  }

  void load(std::string_view payload) {
    frame_reader in(payload);
    const auto protocol = in.u32();
    const auto config = in.text();
    confinement wanted;
    wanted.memory_bytes = in.u64();
    wanted.open_files = in.u64();
    wanted.processes = in.u64();
    wanted.cpu_seconds = in.u64();
    for (auto left = in.u32(); left > 0 && in.good(); --left)
      wanted.write_paths.emplace_back(in.text());
    if (!in.whole() || protocol != protocol_number) {
      done(RAI_FAILED_PRECONDITION,
           "rustic-ai-cell is of another version than the cell plugin: install rustic-ai again");
      return;
    }
    const std::string note = confine(wanted);
    const auto problem = open();
    if (!problem.empty()) {
      done(RAI_FAILED_PRECONDITION, "loading it failed: " + problem, note);
      return;
    }
    collected error(error_bytes_max);
    const rai_status status = guarded("create", error, [&] {
      return plugin_.create(&host_, str(config), &error.writer, &self_);
    });
    created_ = status == RAI_OK;
    done(status, created_ ? std::string() : reason(error, status), note);
  }

  std::string open() {
    const std::string image = "/proc/self/fd/" + std::to_string(image_descriptor);
    void* const library = ::dlopen(image.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (library == nullptr) {
      const char* const cause = ::dlerror();
      return cause == nullptr ? "it cannot be opened" : cause;
    }
    ::close(image_descriptor);
    const auto entry =
        reinterpret_cast<decltype(&rai_plugin_entry_v1)>(::dlsym(library, "rai_plugin_entry_v1"));
    if (entry == nullptr) return "it exports no rai_plugin_entry_v1";
    plugin_.struct_size = sizeof plugin_;
    rai_status status = RAI_UNKNOWN;
    try {
      status = entry(RAI_ABI_MINOR, &plugin_);
    } catch (...) {
      return "its entry threw an exception";
    }
    if (status != RAI_OK) return "its entry refused with status " + std::to_string(status);
    if (plugin_.struct_size > sizeof plugin_ || !RAI_HAS(&plugin_, create) ||
        !RAI_HAS(&plugin_, service))
      return "its table lacks create or service";
    return {};
  }

  template <class Function>
  rai_status guarded(const char* name, collected& error, Function function) {
    try {
      return function();
    } catch (...) {
      error.text = std::string(name) + " threw an exception";
      return RAI_UNKNOWN;
    }
  }

  static std::string reason(const collected& error, rai_status status) {
    return error.text.empty() ? "status " + std::to_string(status) : error.text;
  }

  void live(frame_type type, std::string_view payload) {
    if (!created_) return done(RAI_FAILED_PRECONDITION, "it was not created");
    frame_reader in(payload);
    collected error(error_bytes_max);
    rai_status status = RAI_OK;
    switch (type) {
      case frame_type::start:
        return start(in);
      case frame_type::save: {
        collected state(state_bytes_max);
        if (RAI_HAS(&plugin_, save))
          status = guarded("save", error, [&] { return plugin_.save(self_, &state.writer); });
        if (!state.whole) {
          status = RAI_RESOURCE_EXHAUSTED;
          error.text = "its state is longer than 16 MiB";
        }
        return done(status, status == RAI_OK ? state.text : reason(error, status));
      }
      case frame_type::restore: {
        const auto state = in.text();
        if (RAI_HAS(&plugin_, restore))
          status = guarded("restore", error,
                           [&] { return plugin_.restore(self_, str(state), &error.writer); });
        return done(status, status == RAI_OK ? std::string() : reason(error, status));
      }
      default:
        return stop();
    }
  }

  void start(frame_reader& in) {
    collected error(error_bytes_max);
    rai_status status = RAI_OK;
    if (RAI_HAS(&plugin_, start))
      status = guarded("start", error, [&] { return plugin_.start(self_, &error.writer); });
    if (status != RAI_OK) return done(status, reason(error, status));
    started_ = true;
    std::string offered;
    const std::uint32_t count = in.u32();
    for (std::uint32_t number = 0; number < count && in.good(); ++number) {
      const auto target = in.text();
      rai_service service{};
      service.struct_size = sizeof service;
      const rai_status found =
          guarded("service", error, [&] { return plugin_.service(self_, str(target), &service); });
      const bool good = found == RAI_OK && service.call != nullptr;
      if (good) served_.set(number, service);
      offered += good ? '1' : '0';
    }
    done(RAI_OK, offered);
  }

  [[noreturn]] void stop() {
    try {
      if (started_ && RAI_HAS(&plugin_, stop)) plugin_.stop(self_);
      if (RAI_HAS(&plugin_, destroy)) plugin_.destroy(self_);
    } catch (...) {
      say(RAI_LOG_ERROR, "stop or destroy threw an exception");
    }
    done(RAI_OK, {});
    ::_exit(0);
  }

  // One frame, on the thread that reads. False: it is none.
  bool take(const frame& in) {
    switch (in.type) {
      case frame_type::start:
      case frame_type::save:
      case frame_type::restore:
      case frame_type::stop:
        threads_.schedule(std::make_shared<lifecycle_step>(*this, in.type, in.payload));
        return true;
      case frame_type::call:
        return served_.on_call(in);
      case frame_type::cancel:
        served_.on_cancel(in.id);
        return true;
      case frame_type::release:
        served_.on_release(in.id);
        return true;
      case frame_type::no_events:
        served_.on_no_events(in.id);
        return true;
      case frame_type::credit:
        return served_.on_credit(in);
      case frame_type::event:
        return own_.on_event(in);
      case frame_type::finish:
        return own_.on_finish(in);
      case frame_type::published:
        return bus_.on_published(in);
      case frame_type::ping:
        out_.post(true, [&](std::string& out) { frame_writer(out, frame_type::pong).end(); });
        return true;
      default:
        return false;
    }
  }

  void say(int level, std::string_view text, rai_call call = 0) {
    out_.post(false, [&](std::string& out) {
      frame_writer(out, frame_type::log, call)
          .i32(level)
          .text(text.substr(0, log_text_bytes_max))
          .end();
    });
  }

  // The host table.

  static runner& of(void* self) noexcept { return *static_cast<runner*>(self); }

  static rai_flow emit(void* self, rai_call id, const rai_event* event) {
    return of(self).served_.emit(id, *event);
  }
  static void finish(void* self, rai_call id, rai_status status, rai_str body) {
    of(self).served_.finish(id, status, body);
  }
  static rai_status call_info(void* self, rai_call id, rai_call_info* out) {
    return of(self).served_.info(id, out);
  }
  static rai_call call(void* self, rai_call parent, const rai_request* request,
                       const rai_observer* observer) {
    return of(self).own_.make(parent, *request, *observer);
  }
  static void cancel(void* self, rai_call id) { of(self).own_.cancel(id); }
  static void resume(void* self, rai_call id) { of(self).own_.resume(id); }
  static void abandon(void* self, rai_call id) { of(self).own_.abandon(id); }
  static void forward(void* self, rai_call id, const rai_request* request) {
    of(self).served_.forward(id, *request);
  }
  static void publish(void* self, rai_str topic, rai_str body) {
    of(self).out_.post(true, [&](std::string& out) {
      frame_writer(out, frame_type::publish).text(view(topic)).text(view(body)).end();
    });
  }
  static std::uint64_t subscribe(void* self, rai_str pattern, rai_handler handler,
                                 void* handler_self) {
    return of(self).bus_.subscribe(pattern, handler, handler_self);
  }
  static void unsubscribe(void* self, std::uint64_t subscription) {
    of(self).bus_.unsubscribe(subscription);
  }
  static void list(void* self, rai_str pattern, rai_listing listing, void* listing_self) {
    of(self).questions_.list(pattern, listing, listing_self);
  }
  static rai_status provide(void* self, rai_str target, rai_str attributes,
                            const rai_service* service) {
    auto& me = of(self);
    std::uint32_t number = 0;
    {
      const std::lock_guard lock(me.provided_mutex_);
      const auto next = first_provided + static_cast<std::uint32_t>(me.provided_.size());
      number = me.provided_.emplace(view(target), next).first->second;
    }
    me.served_.set(number, *service);
    return me.questions_.provide(target, attributes, number);
  }
  static void withdraw(void* self, rai_str target) { of(self).questions_.withdraw(target); }
  static void log(void* self, std::int32_t level, rai_call id, rai_str text) {
    of(self).say(level, view(text), id);
  }

  outbox out_;
  dispatcher& threads_;
  served_calls served_;
  own_calls own_;
  bus_handlers bus_;
  questions questions_;
  std::mutex provided_mutex_;
  std::map<std::string, std::uint32_t, std::less<>> provided_;  // the numbers of its services
  rai_host host_{};
  rai_plugin plugin_{};
  void* self_ = nullptr;
  bool created_ = false;
  bool started_ = false;  // like the two above: changed by one lifecycle function after the other
};

}  // namespace

int run_plugin() {
  // Never destroyed: threads of the plugin may use it until the process ends.
  auto* const one = new runner();
  one->run();
}

}  // namespace rustic::cell
