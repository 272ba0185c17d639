// The built plugin through the contract, with a small host of the test's own.
#include <dlfcn.h>
#include <doctest/doctest.h>
#include <rustic/abi.h>

#include <boost/json.hpp>
#include <cstdlib>
#include <utility>

#include "test_server.hpp"

using namespace rustic::http;
using namespace rustic::http::testing;
namespace json = boost::json;

namespace {

rai_str to_str(std::string_view text) {
  return {text.data(), text.size()};
}
std::string to_string(rai_str text) {
  return text.len == 0 ? "" : std::string(text.ptr, text.len);
}

// One call, and what came of it.
struct call_record {
  std::mutex mutex;
  std::condition_variable changed;
  // Under mutex.
  std::string events;  // of the kind DATA
  std::string head;
  std::uint64_t status_code = 0;
  std::string body;
  rai_status status = -1;
  int finishes = 0;
  int data_events = 0;
  rai_flow answer_to_data = RAI_CONTINUE;

  template <class Condition>
  bool wait_for(Condition condition) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, std::chrono::seconds(20), condition);
  }
  bool wait_finished() {
    return wait_for([this] { return finishes > 0; });
  }
};

// Offers emit, finish, and a rustic.secret that knows "env:KEY". The record's address is the call.
class small_host {
 public:
  small_host() {
    table_.struct_size = sizeof table_;
    table_.self = this;
    table_.emit = [](void*, rai_call call, const rai_event* event) -> rai_flow {
      call_record& r = *reinterpret_cast<call_record*>(call);
      std::lock_guard lock(r.mutex);
      rai_flow flow = RAI_CONTINUE;
      if (event->kind == RAI_EVENT_HEAD) {
        r.head = to_string(event->text);
        r.status_code = event->a;
      } else {
        r.events += to_string(event->text);
        ++r.data_events;
        flow = r.answer_to_data;
      }
      r.changed.notify_all();
      return flow;
    };
    table_.finish = [](void*, rai_call call, rai_status status, rai_str body) {
      call_record& r = *reinterpret_cast<call_record*>(call);
      std::lock_guard lock(r.mutex);
      r.status = status;
      r.body = to_string(body);
      ++r.finishes;
      r.changed.notify_all();
    };
    table_.call = [](void* self, rai_call, const rai_request* request,
                     const rai_observer* observer) -> rai_call {
      auto& host = *static_cast<small_host*>(self);
      const rai_observer copy = *observer;
      const bool known = to_string(request->target) == "rustic.secret/default" &&
                         to_string(request->method) == "resolve" &&
                         to_string(request->body) == R"({"reference":"env:KEY"})";
      // From another thread, as a service that takes its time.
      host.threads_.emplace_back([copy, known] {
        copy.finish(
            copy.self, known ? RAI_OK : RAI_NOT_FOUND,
            to_str(known ? R"({"value":"s3cret-of-ours"})" : R"({"message":"set MISSING"})"));
      });
      return 1;
    };
    const char* build = std::getenv("RUSTIC_BUILD_DIR");
    const std::string path = std::string(build ? build : "") + "/lib/rustic-ai/plugins/http.so";
    library_ = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    REQUIRE_MESSAGE(library_, dlerror());
    const auto entry =
        reinterpret_cast<decltype(&rai_plugin_entry_v1)>(dlsym(library_, "rai_plugin_entry_v1"));
    plugin_.struct_size = sizeof plugin_;
    REQUIRE(entry(RAI_ABI_MINOR, &plugin_) == RAI_OK);
  }
  ~small_host() {
    if (self_) {
      stop();
      plugin_.destroy(self_);
    }
    dlclose(library_);
  }

  void stop() {
    if (std::exchange(stopped_, true)) return;
    plugin_.stop(self_);
    for (auto& t : threads_) t.join();
    threads_.clear();
  }

  rai_status create(const std::string& config, std::string* problem = nullptr) {
    const rai_writer writer{problem, [](void* to, rai_str text) {
                              if (to) static_cast<std::string*>(to)->append(text.ptr, text.len);
                            }};
    rai_status status = plugin_.create(&table_, to_str(config), &writer, &self_);
    if (status != RAI_OK) {
      self_ = nullptr;
      return status;
    }
    REQUIRE(plugin_.start(self_, &writer) == RAI_OK);
    service_.struct_size = sizeof service_;
    return plugin_.service(self_, to_str("rustic.http/default"), &service_);
  }

  void call(call_record& record, const std::string& body, rai_op& op,
            std::string_view method = "request", std::string_view data = {}) {
    rai_request request{};
    request.struct_size = sizeof request;
    request.revision = 1;
    request.target = to_str("rustic.http/default");
    request.method = to_str(method);
    request.body = to_str(body);
    request.data = to_str(data);
    op = {};
    op.struct_size = sizeof op;
    service_.call(service_.self, &request, reinterpret_cast<rai_call>(&record), &op);
  }

 private:
  rai_host table_{};
  bool stopped_ = false;
  void* library_ = nullptr;
  rai_plugin plugin_{};
  void* self_ = nullptr;
  rai_service service_{};
  std::vector<std::thread> threads_;
};

}  // namespace

TEST_CASE("a call with a secret header and data") {
  std::string seen;
  test_server server([&](peer& p) {
    seen = p.read_request();
    p.send(answer("pong", "X-A: b\r\n", 201));
    p.wait_until_closed();
  });
  call_record record;
  rai_op op;
  small_host host;
  REQUIRE(host.create("{}") == RAI_OK);
  const json::object body{
      {"method", "POST"},
      {"url", server.url()},
      {"headers", json::array{json::array{"X-Plain", "p"},
                              json::array{"Authorization", json::object{{"prefix", "Bearer "},
                                                                        {"secret", "env:KEY"}}}}}};
  host.call(record, json::serialize(body), op, "request", "ping");
  REQUIRE(record.wait_finished());
  CHECK(record.status == RAI_OK);
  CHECK(record.status_code == 201);
  CHECK(record.events == "pong");
  CHECK(record.body == R"({"status":201,"body_bytes":4})");
  CHECK(record.head.find(R"(["x-a","b"])") != std::string::npos);
  CHECK(header_of(seen, "authorization") == "Bearer s3cret-of-ours");
  CHECK(header_of(seen, "x-plain") == "p");
  CHECK(seen.substr(seen.size() - 4) == "ping");
  op.release(op.self);
}

TEST_CASE("a server that repeats the key which it refuses") {
  test_server server([&](peer& p) {
    p.read_request();
    p.send(answer("no such key: s3cret-of-ours!", "", 401));
    p.wait_until_closed();
  });
  call_record record;
  rai_op op;
  small_host host;
  REQUIRE(host.create("{}") == RAI_OK);
  const std::string body =
      R"({"url":")" + server.url() + R"(","headers":[["K",{"secret":"env:KEY"}]]})";
  host.call(record, body, op);
  REQUIRE(record.wait_finished());
  CHECK(record.status_code == 401);
  CHECK(record.events == "no such key: **************!");
  op.release(op.self);
}

TEST_CASE("requests that the adapter refuses") {
  call_record missing, malformed, method;
  rai_op op;
  small_host host;
  REQUIRE(host.create("{}") == RAI_OK);
  host.call(missing, R"({"url":"http://127.0.0.1:1/","headers":[["K",{"secret":"env:MISSING"}]]})",
            op);
  REQUIRE(missing.wait_finished());
  CHECK(missing.status == RAI_NOT_FOUND);
  CHECK(missing.body.find("set MISSING") != std::string::npos);
  op.release(op.self);
  host.call(malformed, R"({"url":5})", op);
  REQUIRE(malformed.wait_finished());
  CHECK(malformed.status == RAI_INVALID_ARGUMENT);
  op.release(op.self);
  host.call(method, "{}", op, "other");
  REQUIRE(method.wait_finished());
  CHECK(method.status == RAI_UNIMPLEMENTED);
  op.release(op.self);
}

TEST_CASE("pause, resume and cancel through the op") {
  constexpr std::size_t total = 8 * 1024 * 1024;
  test_server server([&](peer& p) {
    while (!p.read_request().empty()) {
      p.send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(total) + "\r\n\r\n");
      p.send(std::string(total, 'd'));
    }
  });
  call_record record, cancelled;
  record.answer_to_data = RAI_PAUSE;
  cancelled.answer_to_data = RAI_PAUSE;
  rai_op op;
  small_host host;
  REQUIRE(host.create("{}") == RAI_OK);
  const std::string body = R"({"url":")" + server.url() + R"("})";
  host.call(record, body, op);
  int resumed = 0;
  while (record.wait_for([&] { return record.finishes > 0 || record.data_events > resumed; })) {
    std::unique_lock lock(record.mutex);
    if (record.finishes > 0) break;
    resumed = record.data_events;
    lock.unlock();
    op.resume(op.self);
  }
  CHECK(record.status == RAI_OK);
  CHECK(record.events.size() == total);
  op.release(op.self);

  host.call(cancelled, body, op);
  REQUIRE(cancelled.wait_for([&] { return cancelled.data_events > 0; }));
  op.cancel(op.self);
  REQUIRE(cancelled.wait_finished());
  CHECK(cancelled.status == RAI_CANCELLED);
  op.release(op.self);
}

TEST_CASE("stop finishes the calls that run") {
  test_server server([&](peer& p) {
    p.read_request();
    p.wait_until_closed();
  });
  call_record record;
  rai_op op;
  small_host host;
  REQUIRE(host.create("{}") == RAI_OK);
  host.call(record, R"({"url":")" + server.url() + R"("})", op);
  host.stop();
  CHECK(record.finishes == 1);
  CHECK(record.status == RAI_CANCELLED);
  op.release(op.self);
}

TEST_CASE("a wrong configuration is refused with its member") {
  small_host host;
  std::string problem;
  CHECK(host.create(R"({"idle_timeout":"soon"})", &problem) == RAI_INVALID_ARGUMENT);
  CHECK(problem.find("idle_timeout") != std::string::npos);
}

TEST_CASE("https through the built plugin, which opens OpenSSL when it is needed") {
  test_certificate certificate("DNS:localhost");
  const auto serve = [](peer& p) {
    while (!p.read_request().empty()) p.send(answer("safe"));
  };
  test_server trusted(serve, certificate.context());
  call_record record, refused;
  rai_op op;
  const std::string body = R"({"url":")" + trusted.url() + R"("})";
  small_host host;
  REQUIRE(host.create(R"({"ca_file":")" + certificate.file() + R"("})") == RAI_OK);
  host.call(record, body, op);
  REQUIRE(record.wait_finished());
  CHECK(record.status == RAI_OK);
  CHECK(record.events == "safe");
  op.release(op.self);

  small_host stranger;
  REQUIRE(stranger.create("{}") == RAI_OK);
  stranger.call(refused, body, op);
  REQUIRE(refused.wait_finished());
  CHECK(refused.status == RAI_UNAVAILABLE);
  CHECK(refused.body.find("certificate") != std::string::npos);
  op.release(op.self);
}
