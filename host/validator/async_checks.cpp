// async_checks.cpp - streams, back-pressure and cancellation.
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "host/validator/process_state.hpp"
#include "host/validator/trial.hpp"
#include "host/validator/trying.hpp"

namespace rustic::validator {
namespace {
using namespace std::chrono_literals;
constexpr auto settle_time = 40ms;  // for what comes too late
constexpr std::size_t cancel_points_max = 6;
constexpr const char* no_end = "calls do not end, see async.cancel_at_once";

void no_breach(running_plugin& p, breach what, const std::string& expected) {
  const auto words = p.host.first(what);
  p.t.expect(!words, expected, words.value_or(""));
}

// Every call once, and a moment for what comes after the finish.
void call_all(running_plugin& p) {
  for (const auto& one : all_samples(p.t)) (void)try_call(p, one);
  std::this_thread::sleep_for(settle_time);
}

void finish_once(trial& t) {
  running_plugin p(t);
  call_all(p);
  no_breach(p, breach::finish_twice, "one finish for each call");
}

void after_finish(trial& t) {
  running_plugin p(t);
  call_all(p);
  no_breach(p, breach::event_after_finish, "no event after the finish");
}

void own_calls(trial& t) {
  running_plugin p(t);
  call_all(p);
  no_breach(p, breach::unknown_call, "answers to calls that it was given");
}

void one_at_a_time(trial& t) {
  running_plugin p(t);
  for (auto one : emitting_samples(p)) {
    // A slow receiver makes a second emitter visible.
    one.plan.policy = [](const seen_event&, std::size_t count) -> rai_flow {
      if (count <= 20) std::this_thread::sleep_for(2ms);
      return RAI_CONTINUE;
    };
    (void)try_call(p, one);
  }
  no_breach(p, breach::event_concurrent, "events of one call one after the other");
}

void event_form(trial& t) {
  running_plugin p(t);
  for (const auto& one : emitting_samples(p)) {
    for (const auto& event : try_call(p, one).events) {
      const auto about = name_of(one) + ": kind " + std::to_string(event.kind);
      t.expect(event.flags == 0, "flags 0", about + ", flags " + std::to_string(event.flags));
      t.expect((event.kind >= RAI_EVENT_TEXT && event.kind <= RAI_EVENT_RESTART) ||
                   event.kind == RAI_EVENT_JSON,
               "events of the kinds of the contract", about);
      if (event.kind == RAI_EVENT_OUTPUT)
        t.expect(event.index == 1 || event.index == 2, "index 1 or 2 of RAI_EVENT_OUTPUT",
                 about + ", index " + std::to_string(event.index));
    }
  }
}

void event_text(trial& t) {
  running_plugin p(t);
  for (const auto& one : emitting_samples(p)) {
    std::string text, reasoning;
    for (const auto& event : try_call(p, one).events) {
      if (event.kind == RAI_EVENT_TEXT) text += event.text;
      if (event.kind == RAI_EVENT_REASONING) reasoning += event.text;
      if (event.kind == RAI_EVENT_PROGRESS)
        t.expect(is_utf8(event.text), "progress in UTF-8", name_of(one) + ": " + shown(event.text));
    }
    t.expect(is_utf8(text) && is_utf8(reasoning), "text that is UTF-8 when it is put together",
             name_of(one) + ": " + shown(is_utf8(text) ? reasoning : text, 80));
  }
}

void event_json(trial& t) {
  running_plugin p(t);
  for (const auto& one : emitting_samples(p)) {
    for (const auto& event : try_call(p, one).events) {
      if (event.kind != RAI_EVENT_JSON && event.kind != RAI_EVENT_USAGE &&
          event.kind != RAI_EVENT_HEAD && event.kind != RAI_EVENT_TOOL_CALL)
        continue;
      const auto about =
          name_of(one) + ": kind " + std::to_string(event.kind) + ": " + shown(event.text, 80);
      json::object object;
      try {
        object = parse_object(event.text, "event");
      } catch (const std::exception&) {
        t.fail("events of that kind hold a JSON object", about);
      }
      t.expect(event.kind != RAI_EVENT_JSON || !text_or(object, "type").empty(),
               "\"type\" in RAI_EVENT_JSON", about);
      t.expect(event.kind != RAI_EVENT_TOOL_CALL ||
                   (!text_or(object, "id").empty() && !text_or(object, "name").empty()),
               "\"id\" and \"name\" in RAI_EVENT_TOOL_CALL", about);
    }
  }
}

void tool_arguments(trial& t) {
  running_plugin p(t);
  bool any = false;
  for (const auto& one : emitting_samples(p)) {
    p.host.services.http = &transcripts::tool_call;
    std::map<std::uint32_t, std::string> arguments;
    for (const auto& event : try_call(p, one).events) {
      if (event.kind == RAI_EVENT_TOOL_CALL) arguments[event.index];
      if (event.kind != RAI_EVENT_TOOL_ARGS) continue;
      any = true;
      t.expect(arguments.contains(event.index), "RAI_EVENT_TOOL_CALL before its arguments",
               name_of(one) + ": arguments of index " + std::to_string(event.index));
      arguments[event.index] += event.text;
    }
    for (const auto& [index, text] : arguments) {
      try {
        if (!text.empty()) (void)parse_json(text);
      } catch (const std::exception&) {
        t.fail("arguments that are JSON when they are put together",
               name_of(one) + ": " + shown(text));
      }
    }
  }
  if (!any) t.skip("no call that can be tried emits tool calls");
}

void must_finish(running_plugin& p, const sample& one, served_call& call, const std::string& when) {
  p.t.expect(p.host.wait(call, cancel_grace_ms),
             "a finish within " + std::to_string(cancel_grace_ms) + " ms of the cancel",
             name_of(one) + ", cancelled " + when + ": none");
  p.host.release(call);
}

void cancel_at_once(trial& t) {
  running_plugin p(t);
  for (const auto& one : main_samples(t)) {
    const auto service = p.life.service(one.service);
    for (int i = 0; i < 5; ++i) {
      t.step(name_of(one) + ", cancelled at once");
      const auto call = p.host.begin(service, one.plan);
      p.host.cancel(*call);
      must_finish(p, one, *call, "at once");
    }
  }
}

void cancel_each(trial& t) {
  running_plugin p(t);
  for (auto one : emitting_samples(p)) {
    const auto service = p.life.service(one.service);
    const auto count = try_call(p, one).events.size();
    for (std::size_t at = 1; at <= std::min(count, cancel_points_max); ++at) {
      t.step(name_of(one) + ", cancelled after event " + std::to_string(at));
      const auto call = p.host.begin(service, one.plan);
      (void)p.host.wait_events(*call, at, answer_time_max_ms);
      p.host.cancel(*call);
      must_finish(p, one, *call, "after event " + std::to_string(at));
    }
  }
}

void cancel_paused(trial& t) {
  running_plugin p(t);
  for (auto one : emitting_samples(p)) {
    one.plan.policy = [](const seen_event&, std::size_t) -> rai_flow { return RAI_PAUSE; };
    one.plan.resumes = false;
    t.step(name_of(one) + ", cancelled while paused");
    const auto call = p.host.begin(p.life.service(one.service), one.plan);
    (void)p.host.wait_paused(*call, answer_time_max_ms);
    p.host.cancel(*call);
    must_finish(p, one, *call, "while it was paused");
  }
}

void cancel_late(trial& t) {
  running_plugin p(t);
  for (const auto& one : main_samples(t)) {
    const auto call = p.host.begin(p.life.service(one.service), one.plan);
    if (!p.host.wait(*call, answer_time_max_ms)) t.skip("it does not finish");
    t.step(name_of(one) + ": op.cancel and op.resume after the finish, before op.release");
    p.host.cancel_again(*call);
    p.host.resume(*call);
    std::this_thread::sleep_for(5ms);
    p.host.release(*call);
  }
  no_breach(p, breach::finish_twice, "nothing when a cancel meets the finish");
}

void cancel_race(trial& t) {
  constexpr int rounds = 60;
  running_plugin p(t);
  const auto all = main_samples(t);
  for (int round = 0; round < rounds; ++round) {
    const auto& one = all[static_cast<std::size_t>(round) % all.size()];
    const auto call = p.host.begin(p.life.service(one.service), one.plan);
    t.step(name_of(one) + ", cancelled at some moment");
    const auto pause = std::chrono::microseconds(t.random()() % 400);
    std::thread other([&] {
      std::this_thread::sleep_for(pause);
      p.host.cancel(*call);
    });
    const bool finished = p.host.wait(*call, answer_time_max_ms + cancel_grace_ms);
    other.join();
    t.expect(finished, "a finish, whenever the cancel comes",
             name_of(one) + ": none; --seed " + std::to_string(t.with().seed));
    p.host.release(*call);
  }
  no_breach(p, breach::finish_twice, "one finish, whenever the cancel comes");
}

// A receiver that answers RAI_STOP has the call cancelled, on the thread that emits and before
// `emit` returns: a lock that is held meanwhile must not be wanted by op.cancel.
void cancel_inside(trial& t) {
  running_plugin p(t);
  for (auto one : emitting_samples(p)) {
    const auto caller = std::this_thread::get_id();
    std::mutex mutex;
    std::condition_variable known;
    std::shared_ptr<served_call> call;
    bool is_due = false;  // the event came before `call` returned
    one.plan.policy = [&](const seen_event&, std::size_t) -> rai_flow {
      std::unique_lock lock(mutex);
      if (std::this_thread::get_id() == caller && !call) {
        is_due = true;
        return RAI_STOP;
      }
      if (!known.wait_for(lock, 1s, [&] { return call != nullptr; })) return RAI_STOP;
      const auto mine = call;
      lock.unlock();
      p.host.cancel(*mine);
      return RAI_STOP;
    };
    t.step(name_of(one) + ", cancelled inside of its first event");
    auto made = p.host.begin(p.life.service(one.service), one.plan);
    {
      const std::lock_guard lock(mutex);
      call = made;
    }
    known.notify_all();
    if (is_due) p.host.cancel(*made);
    must_finish(p, one, *made, "inside of its first event");
  }
}

// What was under way when the cancel came may come to its end later, and must then keep quiet.
void cancel_quiet(trial& t) {
  constexpr auto usual_max = 1'000ms;
  running_plugin p(t);
  auto longest = std::chrono::steady_clock::duration(0);
  std::vector<std::shared_ptr<served_call>> open;
  for (const auto& one : main_samples(t)) {
    const auto service = p.life.service(one.service);
    const auto began = std::chrono::steady_clock::now();
    (void)try_call(p, one);
    const auto usual = std::min<std::chrono::steady_clock::duration>(
        std::chrono::steady_clock::now() - began, usual_max);
    longest = std::max(longest, usual);
    for (const int part : {0, 2}) {  // at once, and in the middle
      t.step(name_of(one) + ", cancelled");
      const auto call = p.host.begin(service, one.plan);
      if (part != 0) (void)p.host.wait(*call, static_cast<std::uint32_t>(usual / part / 1ms));
      p.host.cancel(*call);
      must_finish(p, one, *call, part == 0 ? "at once" : "in the middle");
    }
  }
  t.step("the time that the cancelled calls would have taken");
  std::this_thread::sleep_for(longest + 2 * settle_time);
  no_breach(p, breach::finish_twice, "no second finish of a call that was cancelled");
  no_breach(p, breach::event_after_finish, "no event of a call that was cancelled and finished");
}

void prompt(trial& t) {
  using clock = std::chrono::steady_clock;
  constexpr int tries = 3;  // a machine that is busy delays some, not all
  const auto took = [](clock::time_point began) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(clock::now() - began).count();
  };
  running_plugin p(t);
  for (auto one : main_samples(t)) {
    const auto service = p.life.service(one.service);
    auto cancel_ms = INT64_MAX, release_ms = INT64_MAX, resume_ms = INT64_MAX;
    for (int i = 0; i < tries; ++i) {
      t.step(name_of(one) + ", op.cancel and op.release");
      const auto call = p.host.begin(service, one.plan);
      auto began = clock::now();
      p.host.cancel(*call);
      cancel_ms = std::min<std::int64_t>(cancel_ms, took(began));
      if (!p.host.wait(*call, cancel_grace_ms)) t.skip(no_end);
      began = clock::now();
      p.host.release(*call);
      release_ms = std::min<std::int64_t>(release_ms, took(began));
    }
    one.plan.policy = [](const seen_event&, std::size_t) -> rai_flow { return RAI_PAUSE; };
    one.plan.resumes = false;
    for (int i = 0; i < tries; ++i) {
      t.step(name_of(one) + ", op.resume");
      const auto call = p.host.begin(service, one.plan);
      const bool paused =
          p.host.wait_paused(*call, answer_time_max_ms) && !p.host.answer_of(*call).finished;
      const auto began = clock::now();
      if (paused) p.host.resume(*call);
      resume_ms = std::min<std::int64_t>(resume_ms, took(began));
      p.host.cancel(*call);
      if (!p.host.wait(*call, cancel_grace_ms)) t.skip(no_end);
      p.host.release(*call);
    }
    const std::pair<const char*, std::int64_t> all[] = {
        {"op.cancel", cancel_ms}, {"op.resume", resume_ms}, {"op.release", release_ms}};
    for (const auto& [name, ms] : all)
      t.expect(ms <= control_time_max_ms,
               std::string(name) + " returns within " + std::to_string(control_time_max_ms) + " ms",
               name_of(one) + ": " + std::to_string(ms) + " ms");
  }
}

void pause(trial& t) {
  running_plugin p(t);
  for (auto one : emitting_samples(p)) {
    one.plan.policy = [](const seen_event&, std::size_t) -> rai_flow { return RAI_PAUSE; };
    one.plan.resumes = false;
    t.step(name_of(one) + ", paused after its first event");
    const auto call = p.host.begin(p.life.service(one.service), one.plan);
    (void)p.host.wait_paused(*call, answer_time_max_ms);
    std::this_thread::sleep_for(settle_time);
    p.host.cancel(*call);
    (void)p.host.wait(*call, cancel_grace_ms);
  }
  no_breach(p, breach::event_while_paused, "no event between RAI_PAUSE and op.resume");
}

void resume(trial& t) {
  running_plugin p(t);
  const auto joined = [](const answer& from) {
    std::string out;
    for (const auto& event : from.events)
      if (event.kind != RAI_EVENT_PROGRESS) out += event.text;
    return out;
  };
  for (auto one : emitting_samples(p)) {
    const auto plain = try_call(p, one), again = try_call(p, one);
    one.plan.policy = [](const seen_event&, std::size_t) -> rai_flow { return RAI_PAUSE; };
    const auto paused = try_call(p, one);
    t.expect(paused.finished, "a finish, when each event is answered with RAI_PAUSE and resumed",
             name_of(one) + ": none after " + std::to_string(paused.events.size()) + " events");
    // What tells the time, say, is another text with each call.
    const bool is_steady = joined(plain) == joined(again) && plain.status == again.status;
    t.expect(!is_steady || (joined(paused) == joined(plain) && paused.status == plain.status),
             "the same events, paused or not",
             name_of(one) + ": " + std::to_string(plain.events.size()) + " and " +
                 std::to_string(paused.events.size()));
  }
}

void stall(trial& t) {
  // One that works is seen on a busy machine too, where it gets little time in each step.
  constexpr double work_ms_max = 100, rest_ms_max = 10;
  constexpr int steps = 5;
  running_plugin p(t);
  for (auto one : emitting_samples(p)) {
    one.plan.policy = [](const seen_event&, std::size_t) -> rai_flow { return RAI_PAUSE; };
    one.plan.resumes = false;
    const auto call = p.host.begin(p.life.service(one.service), one.plan);
    (void)p.host.wait_paused(*call, answer_time_max_ms);
    std::this_thread::sleep_for(settle_time);
    const auto before = cpu_ms();
    t.step(name_of(one) + ", while nobody reads");
    const auto began = std::chrono::steady_clock::now();
    double used = 0;
    for (int step = 0; step < steps && used < work_ms_max; ++step) {
      std::this_thread::sleep_for(200ms);
      used = cpu_ms() - before;
      if (used < rest_ms_max) break;
    }
    const std::chrono::duration<double, std::milli> passed =
        std::chrono::steady_clock::now() - began;
    t.expect(used < work_ms_max, "no work while it is paused",
             name_of(one) + ": " + std::to_string(static_cast<int>(used)) + " ms of processor in " +
                 std::to_string(static_cast<int>(passed.count())) + " ms");
    p.host.cancel(*call);
    (void)p.host.wait(*call, cancel_grace_ms);
    return;
  }
}

void stop(trial& t) {
  running_plugin p(t);
  for (auto one : emitting_samples(p)) {
    one.plan.policy = [](const seen_event&, std::size_t) -> rai_flow { return RAI_STOP; };
    const auto got = try_call(p, one);
    t.expect(got.finished, "a finish after RAI_STOP", name_of(one) + ": none");
  }
  std::this_thread::sleep_for(settle_time);
  no_breach(p, breach::event_after_stop, "no event after RAI_STOP");
}

void in_flight(trial& t) {
  constexpr int calls = 20;
  running_plugin p(t);
  for (const auto& one : main_samples(t)) {
    const auto service = p.life.service(one.service);
    t.step(name_of(one) + ", 20 at once");
    std::vector<std::shared_ptr<served_call>> open;
    for (int i = 0; i < calls; ++i) open.push_back(p.host.begin(service, one.plan));
    int lost = 0;
    for (const auto& call : open)
      if (!p.host.wait(*call, lost == 0 ? answer_time_max_ms : 1)) ++lost;
    t.expect(lost == 0, "20 calls at once all finish",
             name_of(one) + ": " + std::to_string(lost) + " of them did not");
    for (const auto& call : open) p.host.release(*call);
  }
}

void later(trial& t) {
  running_plugin p(t);
  p.host.answer_later = true;
  for (const auto& one : main_samples(t)) {
    const auto got = try_call(p, one);
    t.expect(got.finished, "a finish also when other services answer later",
             name_of(one) + ": none");
  }
  if (p.host.outgoing_made() == 0) t.skip("it makes no calls");
}

void at_once(trial& t) {
  running_plugin p(t);
  for (const auto& one : main_samples(t)) {
    const auto got = try_call(p, one);
    t.expect(got.finished, "a finish also when another service answers before host->call returns",
             name_of(one) + ": none");
  }
  if (p.host.outgoing_made() == 0) t.skip("it makes no calls");
}

void cancel_below(trial& t) {
  running_plugin p(t);
  p.host.answer_later = true;
  for (const auto& one : main_samples(t)) {
    t.step(name_of(one) + ", cancelled while it waits for another service");
    const auto call = p.host.begin(p.life.service(one.service), one.plan);
    p.host.cancel(*call);
    must_finish(p, one, *call, "while it waits for another service");
  }
  if (p.host.outgoing_made() == 0) t.skip("it makes no calls");
}

constexpr std::string_view by_coroutine =
    "setup::coroutine and setup::blocking keep these rules: context::emit, writable, "
    "emit_blocking.";

constexpr check table[] = {
    {"async.finish_once", 1, stage::answers, "one finish for a call",
     "Decide in one place who finishes; the SDK finishes when your function returns.", finish_once},
    {"async.after_finish", 1, stage::answers, "no event after it",
     "Emit before the finish; join what emits first.", after_finish},
    {"async.own_calls", 2, stage::answers, "answers its own calls",
     "Keep the rai_call that `call` was given, all 64 bits of it.", own_calls},
    {"async.one_at_a_time", 2, stage::answers, "events come in order",
     "Emit from one thread at a time, or hold a lock while you do.", one_at_a_time},
    {"async.event_form", 3, stage::answers, "events are in form",
     "Use enum rai_event_kind and flags 0; make_event fills the rest.", event_form},
    {"async.event_text", 3, stage::answers, "text events are UTF-8",
     "Pass foreign bytes through rustic::to_utf8, or use RAI_EVENT_OUTPUT.", event_text},
    {"async.event_json", 3, stage::answers, "JSON events are objects",
     "Build them with a JSON library; context::event does.", event_json},
    {"async.tool_arguments", 3, stage::answers, "tool arguments are JSON",
     "Emit RAI_EVENT_TOOL_CALL first and the pieces of one index in order.", tool_arguments},
    {"async.cancel_at_once", 1, stage::answers, "a cancel ends a call",
     "Finish after op.cancel; blocking work asks context::cancelled() now and then.",
     cancel_at_once},
    {"async.cancel_each", 2, stage::answers, "cancel after any event",
     "Finish after op.cancel and after RAI_STOP, wherever you are.", cancel_each},
    {"async.cancel_paused", 2, stage::answers, "cancel while paused",
     "Wait for resume or cancel, whichever comes first.", cancel_paused},
    {"async.cancel_late", 3, stage::answers, "cancel meets the finish",
     "Free the call's state in op->release and nowhere earlier.", cancel_late},
    {"async.cancel_race", 4, stage::answers, "cancel at any moment",
     "Guard what cancel and the finish share by a lock or an atomic.", cancel_race},
    {"async.cancel_below", 3, stage::answers, "cancel while it calls",
     "The call below finishes with CANCELLED then; finish after it.", cancel_below},
    {"async.cancel_inside", 3, stage::answers, "cancel inside an event",
     "Hold no lock around host->emit that op.cancel takes.", cancel_inside},
    {"async.cancel_quiet", 2, stage::answers, "quiet after a cancel",
     "Ask under one lock who finishes: the cancel, or the thread that works.", cancel_quiet},
    {"async.prompt", 5, stage::answers, "controls return at once",
     "Set a flag or wake a thread in op.cancel, op.resume and op.release; wait for nothing there.",
     prompt},
    {"async.pause", 2, stage::answers, "RAI_PAUSE is respected", by_coroutine, pause},
    {"async.resume", 2, stage::answers, "it goes on when resumed", by_coroutine, resume},
    {"async.stall", 4, stage::answers, "no work while paused", by_coroutine, stall},
    {"async.stop", 2, stage::answers, "RAI_STOP is respected", by_coroutine, stop},
    {"async.in_flight", 2, stage::answers, "20 calls at once",
     "Keep what belongs to one call in op->self; bound the work and refuse the rest.", in_flight},
    {"async.answered_later", 2, stage::answers, "others may answer later",
     "Finish from the observer's finish, on whichever thread that comes.", later},
    {"async.answered_at_once", 2, stage::created, "others may answer at once",
     "The observer's finish may come before host->call returns.", at_once},
};
}  // namespace

std::span<const check> async_checks() {
  return table;
}
}  // namespace rustic::validator
