// Plugins that were built with the first SDK, as binaries: every later kernel has to open them,
// call every service of theirs, exchange and stop them. See tests/abi/store/README.md.
#include <rustic/json.hpp>

#include "kernel/abi/loader_world.hpp"

using namespace rustic::kernel;
using namespace rustic::kernel::abi;
using namespace rustic::kernel::abi::testing;

namespace {
const std::vector<std::string> everything = {"call-budget", "guard",  "hello-c",
                                             "hello",       "relay",  "switchboard",
                                             "tally",       "ticker", "word-count"};

// Where the plugins run: each test runs once with either.
bool in_cell() {
  bool isolated = false;
  SUBCASE("in the process") {}
  SUBCASE("in a cell") {
    isolated = true;
  }
  return isolated;
}

stand_in cell_for(const plugin_file& file, const fs::path& image, const std::string& config) {
  rustic::json::array targets;
  for (const auto& one : file.about.provides) targets.emplace_back(one.target());
  rustic::json::object about{{"id", file.about.id}, {"file", image.string()}};
  about["config"] = rustic::json::parse(config);
  about["targets"] = std::move(targets);
  return {CELL_FILE, rustic::json::serialize(rustic::json::object{{"isolated", about}})};
}

// The store of one version in a kernel. The files are copied, as a checkout may be writable for
// others, which the loader refuses.
struct store : world {
  explicit store(bool isolated = in_cell(), const fs::path& from = STORE)
      : world([isolated](loader::settings& with) {
          if (isolated) with.isolate = cell_for;
        }) {
    REQUIRE_MESSAGE(fs::is_directory(from), "there is no store for this machine: " << from);
    for (const auto& entry : fs::directory_iterator(from)) {
      if (entry.path().extension() != ".so") continue;
      const auto file = dir.path / entry.path().filename();
      fs::copy_file(entry.path(), file);
      fs::permissions(file, fs::perms::owner_all);
      auto seen = inspect_plugin(file);
      CAPTURE(file);
      REQUIRE(seen.problem == "");
      configs[seen.about.id] = "{}";
      files[seen.about.id] = file;
      found.push_back(std::move(seen));
    }
  }
  ~store() { CHECK(plugins.stop(20'000).empty()); }
  // Declares all of them; their configuration is what stands in configs by then.
  store& declare() {
    for (const auto& one : found) plugins.add(one);
    return *this;
  }
  rai_request request(std::string_view target, std::string_view method, std::string_view body,
                      std::string_view data = {}, std::string_view context = {}) {
    auto out = request_for(target, method, body);
    out.data = str(data);
    out.context = str(context);
    return out;
  }
  std::string ask_about(std::string_view method, std::string_view data) {
    caller who;
    b.k.call(0, request("rustic.test/switchboard", method, "{}", data), who.observer(), {});
    REQUIRE(who.wait_finished());
    CHECK(who.status() == RAI_OK);
    return who.body();
  }
  std::vector<plugin_file> found;
  std::map<std::string, fs::path> files;
};

std::string counted(int to) {
  std::string out;
  for (int i = 1; i <= to; ++i) out += std::to_string(i) + " ";
  return out;
}
}  // namespace

TEST_CASE("every plugin of the store is there, usable, and opens") {
  const bool isolated = in_cell();
  store s(isolated);
  std::vector<std::string> ids;
  for (const auto& one : s.found) ids.push_back(one.about.id);
  std::sort(ids.begin(), ids.end());
  auto expected = everything;
  std::sort(expected.begin(), expected.end());
  CHECK(ids == expected);
  s.declare();
  for (const auto& id : everything) {
    CAPTURE(id);
    CHECK(s.plugins.activate(id) == "");
    CHECK(s.state(id).state == plugin_state::active);
    CHECK(s.state(id).isolated == isolated);
  }
}

TEST_CASE("the tools answer, in C and in C++") {
  store s;
  s.declare();
  const auto tool = [&](const char* name, const char* arguments, rai_status expected = RAI_OK) {
    return s.ask(std::string("rustic.tool/") + name, "call",
                 std::string(R"({"id":"call_1","arguments":)") + arguments + "}", expected);
  };
  CHECK(tool("hello_c", "{}").find("Hello from C!") != std::string::npos);
  CHECK(tool("hello", R"({"name":"Ada"})").find("Hello, Ada!") != std::string::npos);
  CHECK(tool("word_count", R"({"text":"to be\nor not"})").find("2 lines, 4 words") !=
        std::string::npos);
  const auto refused = tool("word_count", "{}", RAI_INVALID_ARGUMENT);
  CHECK(refused.find("\"message\"") != std::string::npos);
  s.ask("rustic.tool/hello_c", "no.such", "{}", RAI_UNIMPLEMENTED);
}

TEST_CASE("what a plugin of the store keeps goes over to its next generation") {
  store s;
  s.configs["tally"] = R"({"from":40})";
  s.configs["call-budget"] = R"({"calls":2})";
  s.declare();
  struct {
    std::mutex mutex;
    std::string text;
  } heard;
  const auto handler = [](void* self, rai_str topic, rai_str body) {
    auto& out = *static_cast<decltype(heard)*>(self);
    const std::scoped_lock lock(out.mutex);
    out.text += std::string(view(topic)) + std::string(view(body)) + ";";
  };
  const auto subscription = s.b.k.events().subscribe("abi.tally", handler, &heard, {});
  REQUIRE(subscription != 0);
  s.ask("rustic.test/tally", "add");
  CHECK(s.ask("rustic.test/tally", "add") == R"({"count":42})");
  CHECK(eventually([&] {
    const std::scoped_lock lock(heard.mutex);
    return heard.text == R"(abi.tally{"count":41};abi.tally{"count":42};)";
  }));
  s.b.k.events().unsubscribe(subscription);
  for (int i = 1; i <= 10; ++i) {
    CHECK(s.plugins.reload("tally", s.files["tally"]) == "");
    CHECK(s.ask("rustic.test/tally", "add") == "{\"count\":" + std::to_string(42 + i) + "}");
  }
  CHECK(s.state("tally").generation == 11);

  REQUIRE(s.b.k.names().intercept("rustic.tool/*", 1, "call-budget", true).ok());
  const auto spend = [&](rai_status expected) {
    caller who;
    s.b.k.call(0,
               s.request("rustic.tool/hello_c", "call", R"({"id":"c","arguments":{}})", {},
                         R"({"session":"s"})"),
               who.observer(), {});
    REQUIRE(who.wait_finished());
    CHECK(who.status() == expected);
  };
  spend(RAI_OK);
  CHECK(s.plugins.reload("call-budget", s.files["call-budget"]) == "");
  spend(RAI_OK);
  spend(RAI_RESOURCE_EXHAUSTED);
}

TEST_CASE("an interceptor of the store refuses and forwards") {
  store s;
  s.declare();
  REQUIRE(s.b.k.names().intercept("rustic.test/ticker", 1, "guard", true).ok());
  const auto refused =
      s.ask("rustic.test/ticker", "count", R"({"forbidden":1})", RAI_PERMISSION_DENIED);
  CHECK(refused.find("the word is forbidden") != std::string::npos);
  caller who;
  s.b.k.call(0, request_for("rustic.test/ticker", "count", R"({"ticks":3})"), who.observer(), {});
  REQUIRE(who.wait_finished());
  CHECK(who.status() == RAI_OK);
  CHECK(who.joined() == counted(3));
  CHECK(s.b.violations().empty());
}

TEST_CASE(
    "streams of the store arrive in order, wait while they are paused, and can be cancelled") {
  store s;
  s.declare();
  for (const char* target : {"rustic.test/ticker", "rustic.test/blocking-ticker"}) {
    CAPTURE(target);
    caller who;
    std::atomic<int> seen{0};
    who.flow = [&](const rai_event&) -> rai_flow { return ++seen == 5 ? RAI_PAUSE : RAI_CONTINUE; };
    const auto call =
        s.b.k.call(0, request_for(target, "count", R"({"ticks":200})"), who.observer(), {});
    REQUIRE(eventually([&] { return seen == 5; }));
    CHECK(who.finishes() == 0);
    s.b.k.resume(call);
    REQUIRE(who.wait_finished());
    CHECK(who.status() == RAI_OK);
    CHECK(who.joined() == counted(200));
    CHECK(who.faults() == 0);

    caller stopped;
    stopped.flow = [](const rai_event&) -> rai_flow { return RAI_PAUSE; };
    const auto id =
        s.b.k.call(0, request_for(target, "count", R"({"ticks":10000})"), stopped.observer(), {});
    REQUIRE(eventually([&] { return !stopped.events().empty(); }));
    s.b.k.cancel(id);
    REQUIRE(stopped.wait_finished());
    CHECK(stopped.status() == RAI_CANCELLED);
    const auto bad = s.ask(target, "count", R"({"ticks":20000})", RAI_INVALID_ARGUMENT);
    CHECK(bad.find("ask for fewer") != std::string::npos);
  }
}

TEST_CASE("callers of the store pass on events, answers, errors and cancels") {
  store s;
  s.declare();
  for (const char* target : {"rustic.test/relay", "rustic.test/blocking-relay"}) {
    CAPTURE(target);
    caller who;
    s.b.k.call(
        0,
        request_for(target, "ask",
                    R"({"target":"rustic.test/ticker","method":"count","body":{"ticks":7}})"),
        who.observer(), {});
    REQUIRE(who.wait_finished());
    CHECK(who.status() == RAI_OK);
    CHECK(who.joined() == counted(7));
    CHECK(who.said(R"({"form":"coroutine"})"));
    s.ask(target, "ask", R"({"target":"rustic.test/nobody"})", RAI_NOT_FOUND);

    service slow;
    slow.on_cancel = [&](rai_call id) { s.b.k.finish(id, RAI_CANCELLED, str("{}")); };
    s.b.provide("rustic.test/slow", slow);
    caller waiting;
    const auto id = s.b.k.call(0, request_for(target, "ask", R"({"target":"rustic.test/slow"})"),
                               waiting.observer(), {});
    REQUIRE(eventually([&] { return slow.calls() == 1; }));
    s.b.k.cancel(id);
    REQUIRE(waiting.wait_finished());
    CHECK(waiting.status() == RAI_CANCELLED);
    CHECK(slow.cancels() == 1);
    CHECK(s.b.k.names().withdraw("rustic.test/slow", "plug").ok());
  }
}

TEST_CASE("every function of the host works for a plugin of the store") {
  service deaf;  // finishes nothing by itself, also not when it is cancelled
  store s;
  s.declare();
  constexpr auto board = "rustic.test/switchboard";
  CHECK(s.ask(board, "info").find(R"("status":0,"cancelled":0,"is_root":true)") !=
        std::string::npos);
  s.ask(board, "subscribe");
  s.ask(board, "publish", R"({"n":1})");
  s.ask("rustic.test/tally", "get");  // publishes as well
  // Into a cell events come from a queue.
  CHECK(eventually([&] { return s.ask(board, "heard") == R"({"heard":2})"; }));
  s.ask(board, "unsubscribe");
  s.ask(board, "publish");
  CHECK(s.ask(board, "heard") == R"({"heard":2})");

  CHECK(s.ask_about("list", "rustic.tool/*") == R"({"count":3,"attributes":true})");
  CHECK(s.ask_about("provide", "rustic.test/extra") == R"({"status":0})");
  CHECK(s.ask("rustic.test/extra", "any") == R"({"extra":true})");
  s.ask_about("withdraw", "rustic.test/extra");
  s.ask("rustic.test/extra", "any", "{}", RAI_NOT_FOUND);
  s.ask(board, "log");

  caller streamed;
  std::atomic<int> seen{0};
  streamed.flow = [&](const rai_event&) -> rai_flow {
    return ++seen % 100 == 0 ? RAI_PAUSE : RAI_CONTINUE;
  };
  const auto id = s.b.k.call(0, request_for(board, "stream"), streamed.observer(), {});
  for (int pause = 1; pause <= 10; ++pause) {
    REQUIRE(eventually([&] { return seen == pause * 100; }));
    s.b.k.resume(id);
  }
  REQUIRE(streamed.wait_finished());
  CHECK(streamed.said(R"({"sent":1000})"));
  CHECK(streamed.events().size() == 1000);

  s.b.provide("rustic.test/deaf", deaf);
  caller waiting;
  const auto call =
      s.b.k.call(0, s.request(board, "call", "{}", "rustic.test/deaf"), waiting.observer(), {});
  REQUIRE(eventually([&] { return deaf.calls() == 1; }));
  s.b.k.cancel(call);
  REQUIRE(waiting.wait_finished());  // cancel and abandon
  CHECK(waiting.status() == RAI_CANCELLED);
  CHECK(s.b.violations().empty());
}

TEST_CASE("after the store has stopped, its threads and files are gone") {
  const bool isolated = in_cell();
  std::thread([] {}).join();
  const auto threads = entries("/proc/self/task");
  const auto open_files = entries("/proc/self/fd");
  {
    store s(isolated);
    s.declare();
    s.ask("rustic.test/blocking-ticker", "count", R"({"ticks":2})");
    s.ask("rustic.test/blocking-relay", "ask", R"({"target":"rustic.test/tally","method":"add"})");
    CHECK(s.plugins.stop(1000).empty());
  }
  CHECK(eventually([&] { return entries("/proc/self/task") == threads; }));
  CHECK(entries("/proc/self/fd") == open_files);
}
