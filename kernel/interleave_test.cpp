// Random schedules on one thread against a model of what every call may see. A failure prints the
// seed of its schedule; `kernel_interleave_test --seed=N` runs that one alone.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <fstream>
#include <iterator>
#include <map>
#include <random>
#include <string>

#include "kernel/test_parts.hpp"

using namespace rustic::kernel;
using rustic::kernel::testing::activating;
using rustic::kernel::testing::request_for;
using rustic::kernel::testing::text_event;

namespace {

constexpr int schedules = 1'500;
constexpr int steps_per_schedule = 150;
constexpr int max_nesting = 4;

class world {
 public:
  explicit world(std::uint64_t seed) : random_(seed), k_(options()) {
    for (const char* name : targets) provide(name);
    for (const char* name : {"rustic.interceptor/f", "rustic.interceptor/n"}) provide(name);
    expect(k_.names().intercept("f/*", 1, "f", true).ok(), "intercept");
    expect(k_.names().intercept("n/*", 2, "n", true).ok(), "intercept");
    expect(k_.names().intercept("fn/*", 1, "f", true).ok(), "intercept");
    expect(k_.names().intercept("fn/*", 2, "n", true).ok(), "intercept");
  }

  std::string run() {
    for (int i = 0; i < steps_per_schedule && fault_.empty(); ++i) step();
    if (fault_.empty()) close();
    return fault_;
  }

 private:
  static constexpr const char* targets[] = {"a/x", "a/y", "f/x", "n/x", "fn/x", "z/lazy"};

  /// What a caller has seen.
  struct asked {
    world* w;
    rai_call id = 0;
    int finishes = 0;
    rai_status status = -1;
    bool inside = false, paused = false, cancelled = false;
    int resumes = 0;
    std::map<std::string, int> last;  // of each source of events
  };
  /// What a service was asked.
  struct served {
    world* w;
    rai_call id;
    std::string target;
    int emitted = 0, cancels = 0, releases = 0;
    bool finished = false, stopped = false, forwarded = false, busy = false, returned = false;
  };
  struct provider {
    world* w;
  };

  kernel_options options() {
    kernel_options out;
    out.seed = random_();
    out.now_ns = [this] { return now_ns_; };
    out.grace_ms = 100;
    return out;
  }
  std::uint64_t below(std::uint64_t n) { return random_() % n; }
  void expect(bool holds, const char* rule) {
    if (!holds && fault_.empty()) fault_ = rule;
  }
  template <typename Of>
  Of* any(std::deque<Of>& all) {
    if (all.empty()) return nullptr;
    // Mostly recent ones: old ones have ended.
    const std::size_t span = below(3) == 0 ? all.size() : std::min<std::size_t>(all.size(), 8);
    return &all[all.size() - 1 - below(span)];
  }
  /// Something else happens inside a callback.
  void meanwhile() {
    if (nesting_ >= max_nesting || closing_) return;
    ++nesting_;
    for (auto n = below(3); n > 0; --n) step();
    --nesting_;
  }

  void step() {
    switch (below(18)) {
      case 0:
      case 1:
      case 2:
        return ask();
      case 3:
      case 4:
      case 5:
      case 6:
        return emit(any(served_));
      case 7:
      case 8:
        return finish(any(served_));
      case 9: {
        served* const s = any(served_);
        finish(s);
        return finish(s);
      }
      case 10:
        if (asked* const a = any(asked_)) cancel(*a);
        return;
      case 11:
      case 12:
        if (asked* const a = any(asked_)) resume(*a);
        return;
      case 13:
        if (asked* const a = any(asked_)) k_.abandon(a->id);
        return;
      case 14:
        now_ns_ += static_cast<std::int64_t>(below(60)) * 1'000'000;
        return k_.expire(now_ns_);
      case 15:
        (void)k_.names().withdraw(targets[below(std::size(targets))], "p");
        return;
      case 16:
        return provide(targets[below(std::size(targets))]);
      default:
        return pass_on(any(served_));
    }
  }

  void provide(const char* name) {
    const rai_service table{sizeof(rai_service), 0, this, &world::on_call};
    if (below(2) == 0 && std::string_view(name) != "z/lazy") {
      return expect(k_.names().rebind({name, "p", {}}, table).ok(), "rebind");
    }
    auto source = activating([this, table](std::string_view, rai_service* out, std::string& error) {
      meanwhile();
      if (below(3) == 0) {
        error = "not now";
        return rai_status{RAI_UNAVAILABLE};
      }
      *out = table;
      return rai_status{RAI_OK};
    });
    expect(k_.names().rebind({name, "p", {}}, source).ok(), "rebind");
  }

  void ask() {
    asked& a = asked_.emplace_back();
    a.w = this;
    rai_request r = request_for(targets[below(std::size(targets))]);
    served* const parent = below(2) == 0 ? any(served_) : nullptr;
    if (below(4) == 0) r.timeout_ms = static_cast<std::uint32_t>(1 + below(100));
    if (below(4) == 0) r.flags |= RAI_SHIELDED;
    if (below(4) == 0) r.flags |= RAI_NEXT;
    place(a, parent, r);
  }
  void place(asked& a, const served* parent, const rai_request& r) {
    const rai_observer o{sizeof o, 0, &a, below(8) == 0 ? nullptr : &world::on_event,
                         &world::on_finish};
    const rai_call id = k_.call(parent == nullptr ? 0 : parent->id, r, o, "p");
    expect(id != 0 || a.finishes == 1, "a call that gave no id has finished");
    a.id = id;
  }
  void pass_on(served* s) {
    if (s == nullptr) return;
    rai_request r = request_for("ignored/x");
    if (below(2) == 0) {
      k_.forward(s->id, r);
      s->forwarded = true;  // or refused and finished: it may not answer any more
    } else {
      asked& a = asked_.emplace_back();
      a.w = this;
      r.flags = RAI_NEXT;
      place(a, s, r);
    }
  }
  void emit(served* s) {
    if (s == nullptr) return;
    const std::string text = std::to_string(s->id) + ":" + std::to_string(++s->emitted);
    const bool void_before = below(20) == 0;
    const rai_flow flow =
        k_.emit(s->id, text_event(text, void_before ? RAI_EVENT_RESTART : RAI_EVENT_TEXT));
    expect(!s->stopped || flow == RAI_STOP, "after STOP only STOP");
    if (flow == RAI_STOP) s->stopped = true;
    expect(!s->finished || flow == RAI_STOP, "emit after finish is STOP");
  }
  void finish(served* s) {
    if (s == nullptr) return;
    // First: what happens inside must find it finished.
    s->finished = true;
    k_.finish(s->id, static_cast<rai_status>(below(3) == 0 ? RAI_INTERNAL : RAI_OK),
              str(below(2) == 0 ? "{}" : "text"));
  }
  void cancel(asked& a) {
    // Its service has answered: the finish may be on its way, and the cancel too late.
    const bool answered = std::any_of(served_.begin(), served_.end(), [&](const served& s) {
      return s.id == a.id && (s.finished || s.forwarded);
    });
    if (a.id != 0 && a.finishes == 0 && !answered) a.cancelled = true;
    k_.cancel(a.id);
  }
  void resume(asked& a) {
    if (a.id == 0) return;
    ++a.resumes;
    a.paused = false;
    k_.resume(a.id);
  }

  static rai_flow on_event(void* self, const rai_event* event) {
    asked& a = *static_cast<asked*>(self);
    world& w = *a.w;
    w.expect(!a.inside, "events of a call never overlap");
    w.expect(a.finishes == 0, "no event after the finish");
    w.expect(!a.paused, "no event while paused");
    a.inside = true;
    const std::string text(view(event->text));
    const auto colon = text.find(':');
    int& last = a.last[text.substr(0, colon)];
    w.expect(std::atoi(text.c_str() + colon + 1) == last + 1, "events in order, none left out");
    ++last;
    const int resumes = a.resumes;
    w.meanwhile();
    a.inside = false;
    switch (w.below(12)) {
      case 0:
        return RAI_STOP;
      case 1:
      case 2:
      case 3:
        a.paused = a.resumes == resumes;
        return RAI_PAUSE;
      default:
        return RAI_CONTINUE;
    }
  }
  static void on_finish(void* self, rai_status status, rai_str) {
    asked& a = *static_cast<asked*>(self);
    a.w->expect(!a.inside, "the finish does not overlap an event");
    a.w->expect(++a.finishes == 1, "one finish");
    a.w->expect(!a.cancelled || status == RAI_CANCELLED || status == RAI_DEADLINE_EXCEEDED ||
                    status == RAI_RESOURCE_EXHAUSTED,
                "a cancelled call is cancelled");
    a.status = status;
    a.w->meanwhile();
  }

  static void on_call(void* self, const rai_request* request, rai_call id, rai_op* op) {
    world& w = *static_cast<world*>(self);
    served& s = w.served_.emplace_back();
    s.w = &w;
    s.id = id;
    s.target = view(request->target);
    w.expect((request->flags & ~RAI_INTERCEPTED) == 0, "flags of the request");
    if ((request->flags & RAI_INTERCEPTED) != 0 && w.below(4) != 0) w.pass_on(&s);
    w.meanwhile();
    if (w.below(4) == 0) w.finish(&s);
    op->self = &s;
    op->cancel = [](void* p) { op_call(p, &served::cancels); };
    op->resume = [](void* p) { op_call(p, nullptr); };
    op->release = [](void* p) { op_call(p, &served::releases); };
    s.returned = true;
  }
  static void op_call(void* self, int served::*count) {
    served& s = *static_cast<served*>(self);
    world& w = *s.w;
    w.expect(s.returned, "op only after `call` has returned");
    w.expect(s.releases == 0, "nothing after release");
    w.expect(!s.busy, "op functions do not overlap");
    s.busy = true;
    if (count != nullptr) w.expect(++(s.*count) == 1, "cancel and release at most once");
    w.meanwhile();
    if (count == &served::cancels && w.below(2) == 0) w.finish(&s);
    s.busy = false;
  }

  /// Ends everything, then looks at the whole.
  void close() {
    closing_ = true;
    for (asked& a : asked_) cancel(a);
    for (served& s : served_) finish(&s);
    now_ns_ += 1'000'000'000;
    k_.expire(now_ns_);
    for (const char* name : targets) (void)k_.names().withdraw(name, "p");
    for (const asked& a : asked_) expect(a.finishes == 1, "every caller was told the finish");
    for (const served& s : served_) expect(s.releases == 1, "every call was released");
    expect(k_.live_calls() == 0, "no call lives on");
    expect(!k_.next_deadline_ns().has_value(), "no deadline is left");
    for (const auto& count : k_.abandoned_calls()) expect(count.now == 0, "no tombstone is left");
    for (std::uint64_t generation = 1; generation <= 10'000; ++generation) {
      if (k_.names().drained(generation)) continue;
      expect(generation_is_registered(generation), "what was replaced has drained");
    }
  }
  bool generation_is_registered(std::uint64_t generation) {
    bool found = false;
    k_.names().list("*", [&](const listed& one) { found |= one.generation == generation; });
    return found;
  }

  std::mt19937_64 random_;
  std::int64_t now_ns_ = 1'000'000'000;
  std::string fault_;
  int nesting_ = 0;
  bool closing_ = false;
  std::deque<asked> asked_;
  std::deque<served> served_;
  kernel k_;
};

std::uint64_t seed_argument() {
  std::ifstream file("/proc/self/cmdline");
  const std::string line{std::istreambuf_iterator<char>(file), {}};
  const auto at = line.find("--seed=");
  return at == std::string::npos ? 0 : std::strtoull(line.c_str() + at + 7, nullptr, 10);
}

}  // namespace

TEST_CASE("random schedules hold every invariant") {
  if (const std::uint64_t only = seed_argument()) {
    CHECK_MESSAGE(world(only).run() == "", "seed " << only);
    return;
  }
  for (std::uint64_t seed = 1; seed <= schedules; ++seed) {
    INFO("seed ", seed);
    REQUIRE(world(seed).run() == "");
  }
}
