// The tool as a service: one raw call is one command of the runner. No thread waits for it.
#include <dlfcn.h>
#include <unistd.h>

#include <atomic>
#include <climits>
#include <filesystem>
#include <memory>
#include <rustic/plugin.hpp>

#include "shell.hpp"

namespace rustic::shell {
namespace {

std::filesystem::path plugin_file() {
  Dl_info info{};
  return ::dladdr(reinterpret_cast<const void*>(&plugin_file), &info) != 0 && info.dli_fname
             ? std::filesystem::path(info.dli_fname)
             : std::filesystem::path();
}

std::filesystem::path program_file() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error);
}

// One call being served. The kernel's side of it is held by op.self until release, the runner's by
// a listener's pointer until the finish.
class served_call final : public command_listener {
 public:
  served_call(const rai_host& host, rai_call id, command_runner& runner) noexcept
      : host_(host), id_(id), runner_(runner) {}

  next on_output(int index, std::string_view bytes) override {
    const rai_event event = make_event(RAI_EVENT_OUTPUT, bytes, static_cast<std::uint32_t>(index));
    switch (host_.emit(host_.self, id_, &event)) {
      case RAI_PAUSE:
        return next::pause;
      case RAI_STOP:
        return next::stop;
      default:
        return next::more;
    }
  }

  void on_finished(outcome result) override {
    try {
      const std::string body = result_body(result, spec);
      host_.finish(host_.self, id_, RAI_OK, to_str(body));
    } catch (...) {
      refuse();
    }
  }

  // Inside a catch block.
  void refuse() noexcept {
    try {
      const error problem = current_error();
      const std::string body = error_body(problem);
      host_.finish(host_.self, id_, static_cast<rai_status>(problem.code), to_str(body));
    } catch (...) {
      host_.finish(host_.self, id_, RAI_RESOURCE_EXHAUSTED,
                   to_str(R"({"message":"running a command: out of memory"})"));
    }
  }

  void cancel() { runner_.cancel(run_.load()); }
  void resume() { runner_.resume(run_.load()); }
  void started(std::uint64_t run) { run_.store(run); }

  command_spec spec;

 private:
  const rai_host& host_;
  rai_call id_;
  command_runner& runner_;
  std::atomic<std::uint64_t> run_{0};
};

class shell_plugin {
 public:
  explicit shell_plugin(setup& plugin)
      : host_(plugin.host()),
        settings_(read_settings(plugin.config(), plugin_file(), program_file())),
        runner_(settings_.runner) {
    rai_service service{};
    service.struct_size = sizeof service;
    service.self = this;
    service.call = [](void* self, const rai_request* request, rai_call id, rai_op* op) {
      static_cast<shell_plugin*>(self)->call(*request, id, *op);
    };
    plugin.raw("rustic.tool/shell", service);
  }

  void stop() { runner_.stop(); }

 private:
  using handle = std::shared_ptr<served_call>;

  void call(const rai_request& request, rai_call id, rai_op& op) noexcept {
    handle call;
    std::unique_ptr<handle> self;
    try {
      call = std::make_shared<served_call>(host_, id, runner_);
      self = std::make_unique<handle>(call);
    } catch (...) {
      host_.finish(host_.self, id, RAI_RESOURCE_EXHAUSTED,
                   to_str(R"({"message":"running a command: out of memory"})"));
      return;
    }
    op.struct_size = sizeof op;
    op.self = self.release();
    op.cancel = [](void* me) { (*static_cast<handle*>(me))->cancel(); };
    op.resume = [](void* me) { (*static_cast<handle*>(me))->resume(); };
    op.release = [](void* me) { delete static_cast<handle*>(me); };
    try {
      begin(request, id, call);
    } catch (...) {
      call->refuse();
    }
  }

  void begin(const rai_request& request, rai_call id, const handle& call) {
    if (to_view(request.method) != "call") {
      throw failure(
          status_code::unimplemented,
          "rustic.tool/shell has no method '" + std::string(to_view(request.method)) + "'",
          "use the method 'call'");
    }
    rai_call_info info{};
    info.struct_size = sizeof info;
    info.deadline_ms = INT64_MAX;
    host_.call_info(host_.self, id, &info);
    const json::object body = parse_object(to_view(request.body), "shell");
    const json::object scope = parse_object(to_view(info.context), "context");
    call->spec =
        read_command(object_or_empty(body, "arguments"), scope, settings_, info.deadline_ms);
    call->started(runner_.run(call->spec, call));
  }

  const rai_host& host_;
  shell_settings settings_;
  command_runner runner_;
};

}  // namespace
}  // namespace rustic::shell

RUSTIC_PLUGIN(rustic::shell::shell_plugin)
