// A kernel with the built permission plugin, and tools, a person and a storage that tests control.
#pragma once
#include <doctest/doctest.h>

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <rustic/json.hpp>
#include <rustic/status.hpp>
#include <string>
#include <vector>

#include "host/runtime/host_services.hpp"
#include "host/runtime/root_call.hpp"
#include "host/runtime/timer_thread.hpp"
#include "kernel/abi/loader.hpp"
#include "kernel/kernel.hpp"

namespace rustic::permission::testing {

// The state of rustic.storage, kept over several worlds.
struct fake_storage {
  std::mutex mutex;
  std::map<std::string, std::pair<json::value, std::int64_t>> values;  // "scope key"
  status_code broken = status_code::ok;
  int conflicts = 0;  // so many puts answer ABORTED first
  int puts = 0;

  std::string answer(std::string_view method, const json::object& body) {
    std::scoped_lock lock(mutex);
    if (broken != status_code::ok) throw failure(broken, "storage: the disk is on fire");
    const std::string key =
        std::string(require_text(body, "scope")) + " " + std::string(require_text(body, "key"));
    auto found = values.find(key);
    if (method == "state.get") {
      if (found == values.end()) throw failure(status_code::not_found, "no such key");
      return json::serialize(
          json::object{{"value", found->second.first}, {"version", found->second.second}});
    }
    REQUIRE(method == "state.put");
    ++puts;
    const std::int64_t version = found == values.end() ? 0 : found->second.second;
    if (conflicts > 0) {
      --conflicts;
      throw failure(status_code::aborted, "another version");
    }
    if (require_int(body, "expected_version") != version)
      throw failure(status_code::aborted, "another version");
    values[key] = {body.at("value"), version + 1};
    return json::serialize(json::object{{"version", version + 1}});
  }
};

class world {
 public:
  using question = runtime::host_services::question;

  explicit world(const json::object& config = {}, fake_storage* storage = nullptr)
      : kernel_(options()),
        loader_(kernel_,
                {.configuration =
                     [config](const kernel::abi::manifest&) { return json::serialize(config); },
                 .log =
                     [this](int level, std::string_view, rai_call, std::string_view text) {
                       std::scoped_lock lock(mutex_);
                       if (level >= RAI_LOG_WARN) warnings_.emplace_back(text);
                     },
                 .generation_directory = std::filesystem::temp_directory_path()}),
        services_(kernel_) {
    timer_.serve(kernel_);
    const char* build = std::getenv("RUSTIC_BUILD_DIR");
    const std::filesystem::path directory =
        std::filesystem::path(build ? build : ".") / "lib/rustic-ai/plugins";
    bool found = false;
    for (const auto& file : kernel::abi::find_plugins({directory}))
      if (file.about.id == "permission") {
        loader_.add(file);
        found = true;
      }
    REQUIRE(found);
    REQUIRE(kernel_.names().guard("rustic.tool/*", "permission").ok());
    REQUIRE(kernel_.names().intercept("rustic.tool/*", 300, "permission", true).ok());
    services_.provide("rustic.clock/default",
                      [](std::string_view, const json::object&, std::string_view) {
                        return std::string(R"({"unix_ms":1764000000000})");
                      });
    if (storage != nullptr)
      services_.provide("rustic.storage/default",
                        [storage](std::string_view method, const json::object& body,
                                  std::string_view) { return storage->answer(method, body); });
    for (const char* name : {"shell", "files_write", "files_edit", "mcp_thing"}) tool(name, false);
    tool("files_read", true);
  }

  ~world() {
    kernel_.shut_down();
    CHECK(loader_.stop(5000).empty());
    timer_.stop();
    CHECK(violations_.empty());
  }

  // Offers a tool that records its calls.
  void tool(const std::string& name, bool read_only) {
    auto made = std::make_unique<fake_tool>(fake_tool{this, name});
    const rai_service service{sizeof(service), 0, made.get(), &fake_tool::call};
    const std::string attributes =
        json::serialize(json::object{{"annotations", json::object{{"read_only", read_only}}}});
    (void)kernel_.names().withdraw("rustic.tool/" + name, {});
    REQUIRE(kernel_.names().provide({"rustic.tool/" + name, {}, attributes}, service).ok());
    tools_.push_back(std::move(made));
  }

  // Somebody who can be asked; answers come from answer().
  void person() {
    services_.provide_later("rustic.ask/default", [this](question asked) {
      std::scoped_lock lock(mutex_);
      *asked.on_cancel = [this, answer = asked.answer] {
        answer(status_code::cancelled, R"({"message":"cancelled"})");
        std::scoped_lock inner(mutex_);
        ++cancelled_questions_;
        changed_.notify_all();
      };
      ++asked_;
      open_.push_back(std::move(asked));
      changed_.notify_all();
    });
  }

  // The oldest open question, waiting for it.
  question next_question() {
    std::unique_lock lock(mutex_);
    REQUIRE(changed_.wait_for(lock, std::chrono::seconds(20), [&] { return !open_.empty(); }));
    question out = std::move(open_.front());
    open_.pop_front();
    return out;
  }
  json::object answer(std::string_view id, std::string_view reason = {}) {
    const question asked = next_question();
    json::object body{{"answer", id}};
    if (!reason.empty()) body["reason"] = reason;
    asked.answer(status_code::ok, json::serialize(body));
    return json::parse(asked.body).as_object();
  }
  int asked() {
    std::scoped_lock lock(mutex_);
    return asked_;
  }
  int open_questions() {
    std::scoped_lock lock(mutex_);
    return static_cast<int>(open_.size());
  }
  bool wait_cancelled_question() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20),
                             [&] { return cancelled_questions_ > 0; });
  }

  static json::object scope(std::string_view session = "s1", std::string_view workspace = "/w") {
    return {{"session", session}, {"workspace", workspace}, {"interactive", true}};
  }
  std::unique_ptr<runtime::root_call> start(const std::string& tool, const json::object& arguments,
                                            const json::object& context = scope()) {
    const json::object body{{"id", "call_1"}, {"arguments", arguments}};
    return raw(tool, json::serialize(body), json::serialize(context));
  }
  std::unique_ptr<runtime::root_call> raw(const std::string& tool, const std::string& body,
                                          const std::string& context,
                                          std::string_view method = "call") {
    return std::make_unique<runtime::root_call>(kernel_, "rustic.tool/" + tool, method, body,
                                                context);
  }
  std::unique_ptr<runtime::root_call> shell(const std::string& command,
                                            const json::object& context = scope()) {
    return start("shell", {{"command", command}}, context);
  }
  // Runs the call to its end: its status, and the events of type "permission".
  struct outcome {
    status_code status = status_code::unknown;
    json::object body;
    std::vector<json::object> permissions;
    std::string output;
  };
  static outcome end(runtime::root_call& call) {
    outcome out;
    while (const auto event = call.next()) {
      if (event->kind == RAI_EVENT_OUTPUT) out.output += event->text;
      if (event->kind == RAI_EVENT_JSON)
        out.permissions.push_back(json::parse(event->text).as_object());
    }
    const call_result result = call.result();
    out.status = result.status;
    out.body = json::parse(result.body).as_object();
    return out;
  }

  std::vector<std::string> ran() {
    std::scoped_lock lock(mutex_);
    return ran_;
  }
  bool warned(std::string_view part) {
    std::scoped_lock lock(mutex_);
    for (const std::string& one : warnings_)
      if (one.find(part) != std::string::npos) return true;
    return false;
  }
  runtime::host_services& services() { return services_; }
  kernel::kernel& kernel() { return kernel_; }

 private:
  struct fake_tool {
    world* owner;
    std::string name;
    static void call(void* self, const rai_request* request, rai_call id, rai_op*) {
      auto& me = *static_cast<fake_tool*>(self);
      {
        std::scoped_lock lock(me.owner->mutex_);
        me.owner->ran_.push_back(me.name + " " + std::string(to_view(request->body)));
      }
      auto& kernel = me.owner->kernel_;
      if (to_view(request->method) != "call") {
        kernel.finish(id, RAI_OK, to_str(R"({"other":true})"));
        return;
      }
      kernel.emit(id, make_event(RAI_EVENT_OUTPUT, "hello", 1));
      if (to_view(request->body).find("fail") != std::string_view::npos)
        kernel.finish(id, RAI_UNAVAILABLE, to_str(R"({"message":"broken","details":{"a":1}})"));
      else
        kernel.finish(id, RAI_OK, to_str(R"({"success":true,"output":"done"})"));
    }
  };

  kernel::kernel_options options() {
    kernel::kernel_options out;
    out.told.on_deadline_changed = [this] { timer_.wake(); };
    out.told.on_violation = [this](std::string_view owner, std::string_view what) {
      std::scoped_lock lock(mutex_);
      violations_.push_back(std::string(owner) + ": " + std::string(what));
    };
    return out;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> ran_, warnings_, violations_;
  std::deque<question> open_;
  int asked_ = 0;
  int cancelled_questions_ = 0;
  std::vector<std::unique_ptr<fake_tool>> tools_;
  runtime::timer_thread timer_;
  kernel::kernel kernel_;
  kernel::abi::loader loader_;
  runtime::host_services services_;
};

}  // namespace rustic::permission::testing
