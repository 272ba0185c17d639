// The shared object itself, driven through the contract by a small host.
#include <dlfcn.h>
#include <rustic/abi.h>

#include <condition_variable>
#include <rustic/json.hpp>
#include <rustic/status.hpp>

#include "test_workspace.hpp"

namespace rustic::files {
namespace {

// Loads the plugin, and makes one call at a time.
class small_host {
 public:
  explicit small_host(const char* config) {
    table_.struct_size = sizeof table_;
    table_.self = this;
    table_.emit = [](void*, rai_call, const rai_event*) -> rai_flow { return RAI_CONTINUE; };
    table_.log = [](void*, int32_t, rai_call, rai_str) {};
    table_.call_info = [](void*, rai_call, rai_call_info* out) -> rai_status {
      out->deadline_ms = INT64_MAX;
      return RAI_OK;
    };
    table_.finish = [](void* self, rai_call, rai_status status, rai_str text) {
      auto& me = *static_cast<small_host*>(self);
      const std::lock_guard lock(me.mutex_);
      me.status_ = status;
      me.body_ = to_view(text);
      me.finished_ = true;
      me.changed_.notify_all();
    };
    library_ = ::dlopen(FILES_PLUGIN, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    REQUIRE_MESSAGE(library_ != nullptr, ::dlerror());
    const auto entry =
        reinterpret_cast<decltype(&rai_plugin_entry_v1)>(::dlsym(library_, "rai_plugin_entry_v1"));
    plugin_.struct_size = sizeof plugin_;
    REQUIRE(entry(RAI_ABI_MINOR, &plugin_) == RAI_OK);
    std::string problem;
    const rai_writer error{&problem, [](void* text, rai_str piece) {
                             static_cast<std::string*>(text)->append(to_view(piece));
                           }};
    REQUIRE(plugin_.create(&table_, to_str(config), &error, &instance_) == RAI_OK);
    REQUIRE(plugin_.start(instance_, &error) == RAI_OK);
  }
  ~small_host() {
    plugin_.stop(instance_);
    plugin_.destroy(instance_);
    ::dlclose(library_);
  }
  small_host(const small_host&) = delete;
  small_host& operator=(const small_host&) = delete;

  rai_status call(const std::string& tool, std::string_view arguments) {
    const std::string target = "rustic.tool/" + tool;
    rai_service service{};
    service.struct_size = sizeof service;
    REQUIRE(plugin_.service(instance_, to_str(target), &service) == RAI_OK);
    const std::string text = R"({"id":"call_1","arguments":)" + std::string(arguments) + "}";
    rai_request request{};
    request.struct_size = sizeof request;
    request.target = to_str(target);
    request.method = to_str("call");
    request.body = to_str(text);
    request.context = to_str(context);
    rai_op op{};
    op.struct_size = sizeof op;
    {
      const std::lock_guard lock(mutex_);
      finished_ = false;
    }
    service.call(service.self, &request, ++last_call_, &op);
    std::unique_lock lock(mutex_);
    REQUIRE(changed_.wait_for(lock, std::chrono::seconds(20), [&] { return finished_; }));
    lock.unlock();
    if (op.release) op.release(op.self);
    body = parse_object(body_);
    return status_;
  }

  std::string context = "{}";
  boost::json::object body;

 private:
  rai_host table_{};
  void* library_ = nullptr;
  rai_plugin plugin_{};
  void* instance_ = nullptr;
  rai_call last_call_ = 0;
  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  bool finished_ = false;
  rai_status status_ = -1;
  std::string body_;
};

TEST_CASE("every tool answers through the contract") {
  test_workspace work;
  work.put("f", "one\n");
  small_host host(R"({"sync":false})");
  host.context = R"({"session":"s_1","workspace":")" + work.root.string() + "\"}";
  for (const auto& call : std::initializer_list<std::pair<const char*, const char*>>{
           {"files_read", R"({"path":"f"})"},
           {"files_write", R"({"path":"f","content":"two\n"})"},
           {"files_edit", R"({"path":"f","old_text":"two","new_text":"three"})"},
           {"files_list", "{}"},
           {"files_glob", R"({"pattern":"f"})"},
           {"files_grep", R"({"pattern":"three"})"}}) {
    CAPTURE(call.first);
    CHECK(host.call(call.first, call.second) == RAI_OK);
    CHECK(host.body.at("success") == true);
    CHECK(host.body.at("error").is_null());
    CHECK_FALSE(host.body.at("output").as_string().empty());
    CHECK(host.body.at("metadata").is_object());
  }
  CHECK(work.get("f") == "three\n");
  CHECK(host.call("files_read", R"({"path":"../x"})") == RAI_OK);
  CHECK(host.body.at("success") == false);
  CHECK(contains(host.body.at("error").as_string(), "outside"));
}

TEST_CASE("roots come from the context, limits from the configuration") {
  test_workspace work;
  std::filesystem::create_directory(work.top / "more");
  std::ofstream(work.top / "more/x") << std::string(50'000, 'x') + "\n" + std::string(9000, 'y');
  small_host host(R"({"sync":false,"output_bytes_max":4096,"protected_names":["more"]})");
  host.context = R"({"workspace":")" + work.root.string() + R"(","roots":[")" +
                 (work.top / "more").string() + "\"]}";
  const std::string path = (work.top / "more/x").string();
  CHECK(host.call("files_read", R"({"path":")" + path + "\"}") == RAI_OK);
  CHECK(host.body.at("success") == true);
  CHECK(host.body.at("output").as_string().size() <= 4096);
  CHECK(host.call("files_write", R"({"path":"more/x","content":""})") == RAI_OK);
  CHECK(host.body.at("success") == false);
  host.context = "{}";
  CHECK(host.call("files_read", R"({"path":"f"})") == RAI_FAILED_PRECONDITION);
  CHECK(contains(host.body.at("message").as_string(), "no workspace"));
}

}  // namespace
}  // namespace rustic::files
