// A warm call and an event allocate nothing. The program counts every operator new.
#include <doctest/doctest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "kernel/kernel.hpp"

namespace {
std::atomic<long> allocations{0};
}

void* operator new(std::size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* const at = std::malloc(size)) return at;
  throw std::bad_alloc();
}
void operator delete(void* at) noexcept {
  std::free(at);
}
void operator delete(void* at, std::size_t) noexcept {
  std::free(at);
}

using namespace rustic::kernel;

namespace {

struct setting {
  kernel k;
  int finishes = 0, events = 0, handled = 0;

  setting() {
    const auto provide = [&](std::string_view target,
                             void (*call)(void*, const rai_request*, rai_call, rai_op*)) {
      REQUIRE(k.names()
                  .provide({target, "a plugin with a long name", {}},
                           {sizeof(rai_service), 0, this, call})
                  .ok());
    };
    provide("rustic.tool/one_with_a_long_name",
            [](void* self, const rai_request*, rai_call id, rai_op* op) {
              kernel& in = static_cast<setting*>(self)->k;
              rai_event e{};
              e.kind = RAI_EVENT_TEXT;
              e.text = str("a piece of text that is not stored anywhere");
              for (int i = 0; i < 10; ++i) in.emit(id, e);
              in.finish(id, RAI_OK,
                        str("{\"success\":true,\"output\":\"longer than what fits in place\"}"));
              op->release = [](void*) {};
            });
    provide("rustic.provider/openai_compatible",
            [](void* self, const rai_request*, rai_call id, rai_op*) {
              setting& s = *static_cast<setting*>(self);
              s.ask("rustic.tool/one_with_a_long_name", id, 0);
              s.ask("rustic.tool/one_with_a_long_name", id, 5'000);
              s.k.finish(id, RAI_OK, str("{}"));
            });
    provide("rustic.interceptor/permission",
            [](void* self, const rai_request* r, rai_call id, rai_op*) {
              static_cast<setting*>(self)->k.forward(id, *r);
            });
    REQUIRE(k.names().intercept("rustic.tool/*", 1, "permission", true).ok());
    REQUIRE(k.names().guard("rustic.tool/*", "permission").ok());
    REQUIRE(k.names().alias("rustic.provider/default", "rustic.provider/openai_compatible").ok());
    REQUIRE(k.events().subscribe(
                "turn.*",
                [](void* self, rai_str, rai_str) { ++static_cast<setting*>(self)->handled; },
                this) != 0);
  }

  void ask(std::string_view target, rai_call parent, std::uint32_t timeout_ms) {
    rai_request r{};
    r.struct_size = sizeof r;
    r.timeout_ms = timeout_ms;
    r.target = str(target);
    r.method = str("call");
    r.body = str("{}");
    const rai_observer o{sizeof o, 0, this,
                         [](void* self, const rai_event*) -> rai_flow {
                           ++static_cast<setting*>(self)->events;
                           return RAI_CONTINUE;
                         },
                         [](void* self, rai_status status, rai_str) {
                           static_cast<setting*>(self)->finishes += status == RAI_OK ? 1 : 0;
                         }};
    k.call(parent, r, o, parent == 0 ? "" : "a plugin with a long name");
  }
  void round() {
    ask("rustic.provider/default", 0, 0);
    k.events().publish("turn.started", "{}");
  }
};

}  // namespace

TEST_CASE("nothing is allocated after a thousand warm-up calls") {
  setting s;
  for (int i = 0; i < 1'000; ++i) s.round();
  const long before = allocations.load();
  for (int i = 0; i < 10'000; ++i) s.round();
  CHECK(allocations.load() == before);
  CHECK(s.finishes == 3 * 11'000);
  CHECK(s.events == 2 * 10 * 11'000);
  CHECK(s.handled == 11'000);
  CHECK(before > 0);
}
