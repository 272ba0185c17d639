// New files of a plugin whose older generations have calls that do not end.
#include <doctest/doctest.h>

#include <array>

#include "host/runtime/plugins_world.hpp"
#include "kernel/test_roles.hpp"

using namespace rustic;
using namespace rustic::runtime;
using namespace rustic::runtime::testing;
using kernel::testing::caller;
using kernel::testing::service;

namespace {

// A program whose plugin serves in its ninth generation; each of the eight before has a call.
struct drained_world : world {
  static constexpr std::size_t older = 8;

  drained_world() : world(dev) {
    kept_waiting.on_call = [this](const auto& seen) {
      std::scoped_lock lock(waiting_mutex);
      waiting.push_back(seen.id);
      arrived.notify_all();
    };
    (void)k.names().provide({"rustic.test/gate", "gate", "{}"}, kept_waiting.table());
    put(user / "probe.so", version_of(probe_file, 0));
    watch();
    for (std::size_t i = 0; i < older; ++i) {
      call(i);
      put(user / "probe.so", version_of(probe_file, static_cast<int>(i) + 1));
      REQUIRE(line_with("generation " + std::to_string(i + 2) + " serves") != "");
    }
    forget_lines();
  }
  ~drained_world() { finish(); }
  // Begins a call that stays in the generation which serves.
  void call(std::size_t number) {
    const std::string body = R"({"target":"rustic.test/gate"})";
    rai_request request{};
    request.struct_size = sizeof request;
    request.target = to_str("rustic.test/co");
    request.method = to_str("ask");
    request.body = to_str(body);
    k.call(0, request, callers[number].observer(), {});
    std::unique_lock lock(waiting_mutex);
    REQUIRE(arrived.wait_for(lock, 20s, [&] { return waiting.size() == number + 1; }));
  }
  void finish() {
    std::vector<rai_call> all;
    {
      std::scoped_lock lock(waiting_mutex);
      all.swap(waiting);
    }
    for (const auto one : all) k.finish(one, RAI_OK, to_str("{}"));
    for (std::size_t i = 0; i < all.size(); ++i) CHECK(callers[i].wait_finished());
  }

  service kept_waiting;
  std::array<caller, older> callers;
  std::mutex waiting_mutex;
  std::condition_variable arrived;
  std::vector<rai_call> waiting;
};
}  // namespace

TEST_CASE("a new file that has to wait for calls of older generations is announced, once") {
  drained_world w;
  put(w.user / "probe.so", version_of(probe_file, 100));
  CHECK(w.line_with("waits") ==
        "* plugin probe 0.1.0 waits: 8 older generations still have calls in flight; "
        "generation 9 goes on");
  put(w.user / "probe.so", version_of(probe_file, 101));
  REQUIRE(w.wait_lines(2));
  w.finish();
  CHECK(w.line_with("generation 10 serves") != "");
  CHECK(w.lines() == 3);
}

TEST_CASE("a reload that another process asks for then waits as well, and is not lost") {
  drained_world w;
  w.ledger().change([](ledger_state& all) { ++all.plugins["probe"].reloads; });
  CHECK(w.line_with("waits") != "");
  w.finish();
  CHECK(w.line_with("generation 10 serves") != "");
}
