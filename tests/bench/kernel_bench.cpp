// What the kernel costs: a call, an event, an interceptor, and two threads at once.
#include <benchmark/benchmark.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "kernel/kernel.hpp"

using namespace rustic::kernel;

namespace {

constexpr int service_count = 200;

/// A kernel with 200 services that finish at once.
class world {
 public:
  explicit world(int interceptors = 0) {
    const rai_service at_once{sizeof(rai_service), 0, this, &world::finish_at_once};
    for (int i = 0; i < service_count; ++i) {
      targets_.push_back("rustic.tool/tool_number_" + std::to_string(i));
      must(k.names().provide({targets_.back(), "tools", {}}, at_once));
    }
    const rai_service streams{sizeof(rai_service), 0, this, &world::emit_hundred};
    must(k.names().provide({"rustic.provider/stream", "tools", {}}, streams));
    const rai_service passes{sizeof(rai_service), 0, this, &world::pass_on};
    for (int i = 0; i < interceptors; ++i) {
      const std::string name = "rustic.interceptor/number_" + std::to_string(i);
      must(k.names().provide({name, "policies", {}}, passes));
      must(k.names().intercept("*", i, name, true));
    }
  }

  void call(std::string_view target, rai_call parent = 0) {
    rai_request request{};
    request.struct_size = sizeof request;
    request.target = str(target);
    request.method = str("call");
    request.body = str("{}");
    const rai_observer observer{sizeof observer, 0, this,
                                [](void*, const rai_event*) -> rai_flow { return RAI_CONTINUE; },
                                [](void*, rai_status, rai_str) {}};
    k.call(parent, request, observer, {});
  }
  const std::string& target(int i) const { return targets_[static_cast<std::size_t>(i)]; }

  kernel k;

 private:
  static void must(const outcome& done) {
    if (!done.ok()) std::abort();
  }
  static void finish_at_once(void* self, const rai_request*, rai_call id, rai_op*) {
    static_cast<world*>(self)->k.finish(id, RAI_OK, str("{}"));
  }
  static void emit_hundred(void* self, const rai_request*, rai_call id, rai_op*) {
    kernel& k = static_cast<world*>(self)->k;
    rai_event event{};
    event.kind = RAI_EVENT_TEXT;
    event.text = str("token ");
    for (int i = 0; i < 100; ++i) k.emit(id, event);
    k.finish(id, RAI_OK, str("{}"));
  }
  static void pass_on(void* self, const rai_request* request, rai_call id, rai_op*) {
    static_cast<world*>(self)->k.forward(id, *request);
  }

  std::vector<std::string> targets_;
};

/// The argument is the number of interceptors that forward.
void warm_call(benchmark::State& state) {
  world w(static_cast<int>(state.range(0)));
  for (auto _ : state) w.call(w.target(77));
}
BENCHMARK(warm_call)->DenseRange(0, 4);

void child_call(benchmark::State& state) {
  world w;
  rai_call parent = 0;
  const rai_service parks{sizeof(rai_service), 0, &parent,
                          [](void* self, const rai_request*, rai_call id, rai_op*) {
                            *static_cast<rai_call*>(self) = id;
                          }};
  if (!w.k.names().provide({"rustic.agent/one", "agents", {}}, parks).ok()) std::abort();
  w.call("rustic.agent/one");
  for (auto _ : state) w.call(w.target(77), parent);
  w.k.finish(parent, RAI_OK, str("{}"));
}
BENCHMARK(child_call);

/// Each thread calls a service of its own.
void calls_on_threads(benchmark::State& state) {
  static std::unique_ptr<world> shared;
  if (state.thread_index() == 0) shared = std::make_unique<world>();
  for (auto _ : state) shared->call(shared->target(state.thread_index()));
  if (state.thread_index() == 0) shared.reset();
}
BENCHMARK(calls_on_threads)->Threads(1)->Threads(2)->UseRealTime();

void intercepted_on_threads(benchmark::State& state) {
  static std::unique_ptr<world> shared;
  if (state.thread_index() == 0) shared = std::make_unique<world>(3);
  for (auto _ : state) shared->call(shared->target(state.thread_index()));
  if (state.thread_index() == 0) shared.reset();
}
BENCHMARK(intercepted_on_threads)->Threads(1)->Threads(2)->UseRealTime();

/// One call that emits a hundred events; the argument is the number of interceptors.
void hundred_events(benchmark::State& state) {
  world w(static_cast<int>(state.range(0)));
  for (auto _ : state) w.call("rustic.provider/stream");
  state.SetItemsProcessed(state.iterations() * 100);
}
BENCHMARK(hundred_events)->DenseRange(0, 3);

void bus_event(benchmark::State& state) {
  world w;
  int seen = 0;
  for (int i = 0; i < state.range(0); ++i) {
    const auto count = [](void* self, rai_str, rai_str) { ++*static_cast<int*>(self); };
    if (w.k.events().subscribe("turn.*", count, &seen) == 0) std::abort();
  }
  for (auto _ : state) w.k.events().publish("turn.started", "{}");
  benchmark::DoNotOptimize(seen);
}
BENCHMARK(bus_event)->Arg(0)->Arg(1)->Arg(10);

void declare_services(benchmark::State& state) {
  for (auto _ : state) {
    world w;
    benchmark::DoNotOptimize(&w);
  }
  state.SetItemsProcessed(state.iterations() * service_count);
}
BENCHMARK(declare_services)->Unit(benchmark::kMicrosecond);

}  // namespace

BENCHMARK_MAIN();
