// The shared object itself, driven through the contract by a small host.
#include <dlfcn.h>
#include <doctest/doctest.h>
#include <rustic/abi.h>

#include <cstring>
#include <rustic/json.hpp>
#include <rustic/status.hpp>

#include "recording_listener.hpp"

using namespace rustic::shell;
using rustic::to_str;
using rustic::to_view;
using std::chrono::milliseconds;

namespace {

// A host with one call at a time.
struct small_host {
  small_host() {
    table.struct_size = sizeof table;
    table.self = this;
    table.emit = [](void* self, rai_call, const rai_event* event) -> rai_flow {
      auto& me = *static_cast<small_host*>(self);
      const std::lock_guard lock(me.mutex);
      me.output.append(to_view(event->text));
      me.events += event->kind == RAI_EVENT_OUTPUT ? 1 : 1000;
      me.changed.notify_all();
      return me.answer;
    };
    table.finish = [](void* self, rai_call, rai_status given, rai_str text) {
      auto& me = *static_cast<small_host*>(self);
      const std::lock_guard lock(me.mutex);
      me.status = given;
      me.body = to_view(text);
      ++me.finishes;
      me.changed.notify_all();
    };
    table.call_info = [](void* self, rai_call, rai_call_info* out) -> rai_status {
      out->deadline_ms = INT64_MAX;
      out->context = to_str(static_cast<small_host*>(self)->context);
      return RAI_OK;
    };
    table.log = [](void*, int32_t, rai_call, rai_str) {};
  }
  bool wait(const std::function<bool()>& met, milliseconds limit = std::chrono::seconds(10)) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, limit, met);
  }

  rai_host table{};
  std::string context;
  std::mutex mutex;
  std::condition_variable changed;
  std::string output;
  int events = 0;
  rai_flow answer = RAI_CONTINUE;
  rai_status status = -1;
  std::string body;
  int finishes = 0;
};

struct loaded_plugin {
  explicit loaded_plugin(const char* config) {
    const std::string path = build_directory() / "lib/rustic-ai/plugins/shell.so";
    void* library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    REQUIRE_MESSAGE(library != nullptr, ::dlerror());
    const auto entry =
        reinterpret_cast<decltype(&rai_plugin_entry_v1)>(::dlsym(library, "rai_plugin_entry_v1"));
    plugin.struct_size = sizeof plugin;
    REQUIRE(entry(RAI_ABI_MINOR, &plugin) == RAI_OK);
    host.context = R"({"workspace": ")" + directory.path() + "\"}";
    writer.self = &problem;
    writer.append = [](void* text, rai_str piece) {
      static_cast<std::string*>(text)->append(to_view(piece));
    };
    created = plugin.create(&host.table, to_str(config), &writer, &self);
    if (created != RAI_OK) return;
    REQUIRE(plugin.start(self, &writer) == RAI_OK);
    service.struct_size = sizeof service;
    REQUIRE(plugin.service(self, to_str("rustic.tool/shell"), &service) == RAI_OK);
  }
  ~loaded_plugin() {
    if (created != RAI_OK) return;
    plugin.stop(self);
    release();
    plugin.destroy(self);
  }
  void call(std::string_view body, std::string_view method = "call") {
    release();
    {
      const std::lock_guard lock(host.mutex);
      host.finishes = 0;
      host.output.clear();
      host.events = 0;
    }
    rai_request request{};
    request.struct_size = sizeof request;
    request.target = to_str("rustic.tool/shell");
    request.method = to_str(method);
    request.body = to_str(body);
    op.struct_size = sizeof op;
    service.call(service.self, &request, ++id, &op);
  }
  bool wait_finish(milliseconds limit = std::chrono::seconds(10)) {
    return host.wait([this] { return host.finishes > 0; }, limit);
  }
  rustic::json::object result() {
    const std::lock_guard lock(host.mutex);
    return rustic::parse_object(host.body);
  }
  void release() {
    if (op.release != nullptr) op.release(op.self);
    op = {};
  }

  scratch_directory directory;
  small_host host;
  rai_plugin plugin{};
  rai_service service{};
  rai_writer writer{};
  std::string problem;
  rai_status created = RAI_OK;
  void* self = nullptr;
  rai_op op{};
  rai_call id = 0;
};

}  // namespace

TEST_CASE("a call streams output and finishes once") {
  loaded_plugin shell("{}");
  shell.call(R"({"id": "call_1", "arguments": {"command": "echo hello; pwd; exit 2"}})");
  REQUIRE(shell.wait_finish());
  CHECK(shell.host.status == RAI_OK);
  const auto result = shell.result();
  CHECK(result.at("success") == false);
  const std::string place = std::filesystem::canonical(shell.directory.path()).string();
  CHECK(rustic::text_or(result, "output") == "hello\n" + place + "\n");
  CHECK(shell.host.output == "hello\n" + place + "\n");
  CHECK(result.at("metadata").at("exit_code") == 2);
  CHECK(shell.host.finishes == 1);
}

TEST_CASE("errors carry a code and a message") {
  loaded_plugin shell("{}");
  shell.call(R"({"arguments": {"command": "true", "workdir": "/"}})");
  REQUIRE(shell.wait_finish());
  CHECK(shell.host.status == RAI_PERMISSION_DENIED);
  CHECK(shell.result().contains("hint"));
  shell.call("{}", "explode");
  REQUIRE(shell.wait_finish());
  CHECK(shell.host.status == RAI_UNIMPLEMENTED);
  shell.call("not JSON");
  REQUIRE(shell.wait_finish());
  CHECK(shell.host.status == RAI_INVALID_ARGUMENT);
  shell.call(R"({"arguments": {"command": "echo alive"}})");
  REQUIRE(shell.wait_finish());
  CHECK(shell.result().at("output") == "alive\n");
}

TEST_CASE("cancel, pause and resume reach the command") {
  loaded_plugin shell("{}");
  shell.call(R"({"arguments": {"command": "echo begun; sleep 1000"}})");
  REQUIRE(shell.host.wait([&] { return shell.host.output == "begun\n"; }));
  shell.op.cancel(shell.op.self);
  REQUIRE(shell.wait_finish(milliseconds(1000)));
  CHECK(shell.result().at("output") == "begun\n");

  shell.host.answer = RAI_PAUSE;
  shell.call(R"({"arguments": {"command": "seq 1 50000 | tail -c 200000; echo end"}})");
  REQUIRE(shell.host.wait([&] { return shell.host.events == 1; }));
  CHECK(!shell.wait_finish(milliseconds(100)));
  CHECK(shell.host.events == 1);
  {
    const std::lock_guard lock(shell.host.mutex);
    shell.host.answer = RAI_CONTINUE;
  }
  shell.op.resume(shell.op.self);
  REQUIRE(shell.wait_finish());
  CHECK(shell.host.output.size() == 200'004);
}

TEST_CASE("stop finishes what runs and leaves nothing") {
  {
    loaded_plugin warm_up("{}");
    warm_up.call(R"({"arguments": {"command": "true"}})");
    REQUIRE(warm_up.wait_finish());
  }
  const int threads = count_entries("/proc/self/task");
  const int files = count_entries("/proc/self/fd");
  {
    loaded_plugin shell("{}");
    shell.call(R"({"arguments": {"command": "echo begun; sleep 1000"}})");
    REQUIRE(shell.host.wait([&] { return shell.host.output == "begun\n"; }));
    const auto before = clock::now();
    shell.plugin.stop(shell.self);
    CHECK(clock::now() - before < milliseconds(1000));
    CHECK(shell.host.finishes == 1);
    shell.call(R"({"arguments": {"command": "true"}})");
    CHECK(shell.host.status == RAI_FAILED_PRECONDITION);
  }
  CHECK(count_entries("/proc/self/task") == threads);
  CHECK(count_entries("/proc/self/fd") == files);
  CHECK(count_children() == 0);
}

TEST_CASE("a bad configuration is refused with a reason") {
  loaded_plugin shell(R"({"shell": "bash"})");
  CHECK(shell.created == RAI_INVALID_ARGUMENT);
  CHECK(shell.problem.find("plugin.shell.shell") != std::string::npos);
}

TEST_CASE("an instance that never ran a command has no thread and no child") {
  const int threads = count_entries("/proc/self/task");
  loaded_plugin shell("{}");
  CHECK(count_entries("/proc/self/task") == threads);
  CHECK(count_children() == 0);
}
