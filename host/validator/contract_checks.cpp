// contract_checks.cpp - what every answer must be like, and what calls may not leave behind.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

#include "host/validator/process_state.hpp"
#include "host/validator/trial.hpp"
#include "host/validator/trying.hpp"

namespace rustic::validator {
namespace {

void answers(trial& t) {
  running_plugin p(t);
  for (const auto& one : all_samples(t)) {
    const auto got = try_call(p, one);
    t.expect(got.finished, "a finish within " + std::to_string(answer_time_max_ms) + " ms",
             name_of(one) + " did not finish");
  }
}

void no_breach(trial& t, running_plugin& p, breach what, const std::string& expected) {
  const auto words = p.host.first(what);
  t.expect(!words, expected, words.value_or(""));
}

template <class Look>
void each_answer(trial& t, running_plugin& p, Look look) {
  for (const auto& one : all_samples(t)) look(one, try_call(p, one));
}

void exceptions(trial& t) {
  running_plugin p(t);
  each_answer(t, p, [](const sample&, const answer&) {});
  p.life.end();
  no_breach(t, p, breach::exception, "no exception leaves the plugin");
}

void status(trial& t) {
  running_plugin p(t);
  each_answer(t, p, [](const sample&, const answer&) {});
  no_breach(t, p, breach::status_unknown, "a status of the contract, 0 to 16");
}

void result(trial& t) {
  running_plugin p(t);
  each_answer(t, p, [&](const sample& one, const answer& got) {
    if (!got.ok()) return;
    try {
      (void)parse_object(got.body, "result");
      t.expect(!got.body.empty(), "a result that is a JSON object", name_of(one) + ": nothing");
    } catch (const std::exception& problem) {
      t.fail("a result that is a JSON object",
             name_of(one) + ": " + problem.what() + ": " + shown(got.body, 80));
    }
    t.expect(is_utf8(got.body), "a result in UTF-8", name_of(one) + ": " + shown(got.body, 80));
  });
}

// The result of a tool, or nothing when this is none.
std::optional<json::object> tool_result_of(const sample& one, const answer& got) {
  if (!got.ok() || interface_of(one.plan.target) != "rustic.tool") return std::nullopt;
  try {
    return parse_object(got.body);
  } catch (const std::exception&) {
    return std::nullopt;  // contract.result tells
  }
}

void tool_shape(trial& t) {
  running_plugin p(t);
  each_answer(t, p, [&](const sample& one, const answer& got) {
    const auto body = tool_result_of(one, got);
    if (!body) return;
    const auto* success = find(*body, "success");
    t.expect(success && success->is_bool(), "\"success\": true or false",
             name_of(one) + ": " + shown(got.body, 100));
    const auto* output = find(*body, "output");
    t.expect(output && output->is_string(), "\"output\": a text",
             name_of(one) + ": " + shown(got.body, 100));
    const auto* problem = find(*body, "error");
    t.expect(!problem || problem->is_string(), "\"error\": a text or null",
             name_of(one) + ": " + shown(got.body, 100));
    const auto* metadata = find(*body, "metadata");
    t.expect(!metadata || metadata->is_object(), "\"metadata\": an object",
             name_of(one) + ": " + shown(got.body, 100));
  });
}

void tool_failure(trial& t) {
  running_plugin p(t);
  each_answer(t, p, [&](const sample& one, const answer& got) {
    const auto body = tool_result_of(one, got);
    if (!body || bool_or(*body, "success", true)) return;
    t.expect(!text_or(*body, "error").empty(),
             "\"error\": what the model can do about it, when success is false",
             name_of(one) + ": " + shown(got.body, 100));
  });
}

void error_body(trial& t) {
  running_plugin p(t);
  each_answer(t, p, [&](const sample& one, const answer& got) {
    if (!got.finished || got.status == RAI_OK) return;
    json::object body;
    try {
      body = parse_object(got.body, "error");
    } catch (const std::exception&) {
      t.fail("an error with {\"message\": ...}", name_of(one) + ": " + shown(got.body, 100));
    }
    t.expect(!text_or(body, "message").empty(), "an error with a message",
             name_of(one) + ", status " + std::to_string(got.status) + ": " +
                 (got.body.empty() ? "no body" : shown(got.body, 100)));
  });
}

void error_text(trial& t) {
  constexpr std::size_t message_bytes_max = 16u * 1024;
  running_plugin p(t);
  each_answer(t, p, [&](const sample& one, const answer& got) {
    if (!got.finished || got.status == RAI_OK) return;
    t.expect(is_utf8(got.body), "an error in UTF-8", name_of(one) + ": " + shown(got.body, 100));
    try {
      const auto body = parse_object(got.body);
      t.expect(text_or(body, "message").size() <= message_bytes_max, "a message of at most 16 KiB",
               name_of(one) + ": " + std::to_string(text_or(body, "message").size()));
      const auto* hint = find(body, "hint");
      t.expect(!hint || hint->is_string(), "\"hint\": a text",
               name_of(one) + ": " + shown(got.body, 100));
      const auto* retry = find(body, "retry_after_ms");
      t.expect(!retry || retry->is_number(), "\"retry_after_ms\": a number",
               name_of(one) + ": " + shown(got.body, 100));
    } catch (const std::exception&) {  // contract.error_body tells
    }
  });
}

void no_method(trial& t) {
  running_plugin p(t);
  each_answer(t, p, [&](const sample& one, const answer& got) {
    if (one.kind != sample_kind::no_method) return;
    t.expect(!got.ok(), "RAI_UNIMPLEMENTED for a method that there is not",
             name_of(one) + ": OK and " + shown(got.body, 80));
  });
}

void idempotent(trial& t) {
  running_plugin p(t);
  bool any = false;
  for (const auto& one : good_samples(t)) {
    const auto& notes = object_or_empty(attributes_of(t, one.service), "annotations");
    if (!bool_or(notes, "idempotent")) continue;
    any = true;
    const auto first = try_call(p, one), second = try_call(p, one);
    t.expect(first.status == second.status && first.body == second.body,
             "equal results of equal calls, as \"idempotent\" says",
             name_of(one) + ": " + shown(first.body, 80) + " and then " + shown(second.body, 80));
  }
  if (!any) t.skip("no tool says that it is idempotent and can be tried");
}

void concurrent(trial& t) {
  constexpr int threads = 8, rounds = 12;
  running_plugin p(t);
  const auto all = main_samples(t);
  std::vector<rai_service> services;
  std::vector<rai_status> expected;
  for (const auto& one : all) {
    services.push_back(p.life.service(one.service));
    expected.push_back(try_call(p, one).status);
  }
  std::atomic<int> lost{0}, other{0};
  t.step("calls on 8 threads at once");
  std::vector<std::thread> running;
  for (int i = 0; i < threads; ++i)
    running.emplace_back([&] {
      for (int k = 0; k < rounds; ++k)
        for (std::size_t n = 0; n < all.size(); ++n) {
          const auto got = p.host.run(services[n], all[n].plan, answer_time_max_ms);
          if (!got.finished) ++lost;
          // Too much at once may be refused, but not be answered wrongly.
          if (got.finished && got.status != expected[n] && got.status != RAI_RESOURCE_EXHAUSTED)
            ++other;
        }
    });
  for (auto& one : running) one.join();
  t.expect(lost == 0, "every call finishes", std::to_string(lost) + " of the calls did not");
  t.expect(other == 0, "the same statuses as of calls one after the other",
           std::to_string(other) + " calls had another one");
}

void log_form(trial& t) {
  running_plugin p(t);
  each_answer(t, p, [](const sample&, const answer&) {});
  p.life.end();
  no_breach(t, p, breach::log_malformed,
            "log lines in UTF-8, of at most 16 KiB, with a level of the contract");
}

void secrets(trial& t) {
  running_plugin p(t);
  each_answer(t, p, [&](const sample& one, const answer& got) {
    t.expect(!has_secret(got.body), "no secret in a result or an error", name_of(one));
    for (const auto& event : got.events)
      t.expect(!has_secret(event.text), "no secret in an event", name_of(one));
  });
  p.life.end();
  t.expect(!has_secret(p.host.log_text()), "no secret in the log",
           "the value that rustic.secret or the configuration gave was logged");
}

void output(trial& t) {
  output_capture capture;
  running_plugin p(t);
  each_answer(t, p, [](const sample&, const answer&) {});
  p.life.end();
  const auto text = capture.text();
  t.expect(text.empty(), "nothing is printed; standard output belongs to the program", text);
}

void prompt(trial& t) {
  running_plugin p(t);
  for (const auto& one : main_samples(t)) {
    const auto service = p.life.service(one.service);
    auto best = std::chrono::milliseconds::max();
    for (int i = 0; i < 3; ++i) {  // a machine that is busy delays some calls, not all
      const auto began = std::chrono::steady_clock::now();
      const auto call = p.host.begin(service, one.plan);
      best = std::min(best, std::chrono::duration_cast<std::chrono::milliseconds>(
                                std::chrono::steady_clock::now() - began));
      if (p.host.wait(*call, answer_time_max_ms)) p.host.release(*call);
    }
    t.expect(best.count() <= control_time_max_ms, "`call` returns at once",
             name_of(one) + " took " + std::to_string(best.count()) + " ms");
  }
}

// Many calls, also refused and cancelled ones, after a few that may set something up.
template <class Measure>
std::pair<std::size_t, std::size_t> around_many(trial& t, running_plugin& p, int rounds,
                                                Measure measure) {
  constexpr std::size_t refused_max = 4;
  const auto usual = main_samples(t);
  auto all = usual;
  for (auto& one : all_samples(t))
    if (one.kind != sample_kind::good && all.size() < usual.size() + refused_max)
      all.push_back(std::move(one));
  std::vector<rai_service> services;
  for (const auto& one : all) services.push_back(p.life.service(one.service));
  const auto once = [&] {
    for (std::size_t n = 0; n < all.size(); ++n)
      (void)p.host.run(services[n], all[n].plan, answer_time_max_ms);
    for (std::size_t n = 0; n < usual.size(); ++n) {
      const auto call = p.host.begin(services[n], usual[n].plan);
      p.host.cancel(*call);
      if (!p.host.wait(*call, cancel_grace_ms))
        t.skip("calls do not end, see async.cancel_at_once");
      p.host.release(*call);
      p.host.forget(*call);
    }
  };
  // Calls that take long are made less often.
  const auto many = [&](int times, std::chrono::milliseconds time_max) {
    const auto end = std::chrono::steady_clock::now() + time_max;
    for (int i = 0; i < times && (i == 0 || std::chrono::steady_clock::now() < end); ++i) once();
  };
  many(rounds / 4 + 3, std::chrono::milliseconds(many_time_max_ms / 4));
  const auto before = measure();
  t.step("many calls");
  many(rounds, std::chrono::milliseconds(many_time_max_ms));
  return {before, measure()};
}

void threads(trial& t) {
  running_plugin p(t);
  constexpr std::size_t pool_max = 8;
  auto [before, after] = around_many(t, p, 40, thread_count);
  if (after > before + pool_max) after = settle_threads(before + pool_max, 500);
  t.expect(after <= before + pool_max, "as many threads after 40 calls as before",
           std::to_string(before) + " and then " + std::to_string(after));
}

void files(trial& t) {
  running_plugin p(t);
  constexpr std::size_t cached_max = 8;
  const auto [before, after] = around_many(t, p, 40, [] { return descriptors().size(); });
  t.expect(after <= before + cached_max, "as many descriptors after 40 calls as before",
           std::to_string(before) + " and then " + std::to_string(after));
}

void memory(trial& t) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  t.skip("a sanitizer keeps memory of its own");
#else
  constexpr std::size_t kept_max = 512 * 1024;
  running_plugin p(t);
  p.host.forgets = true;
  const auto [before, after] = around_many(t, p, 200, allocated_bytes);
  t.expect(after <= before + kept_max, "less than 512 KiB kept after 200 calls",
           std::to_string((after - before) / 1024) + " KiB");
#endif
}

void requests(trial& t) {
  running_plugin p(t);
  each_answer(t, p, [](const sample&, const answer&) {});
  if (p.host.outgoing_made() == 0) t.skip("it makes no calls");
  no_breach(t, p, breach::request_malformed, "sound requests to other services");
}

void parents(trial& t) {
  running_plugin p(t);
  each_answer(t, p, [](const sample&, const answer&) {});
  if (p.host.outgoing_made() == 0) t.skip("it makes no calls");
  no_breach(t, p, breach::request_foreign_parent, "calls below the call that is served, or 0");
}

void declared(trial& t) {
  running_plugin p(t);
  each_answer(t, p, [](const sample&, const answer&) {});
  if (p.host.outgoing_made() == 0) t.skip("it makes no calls");
  no_breach(t, p, breach::undeclared_target, "calls to what the manifest requires or wants");
}

constexpr check table[] = {
    {"contract.answers", 1, stage::created, "calls finish",
     "Call host->finish once for each call, also on each path that fails.", answers,
     stage::answers},
    {"contract.exceptions", 1, stage::answers, "no exception leaves it",
     "Catch in every function of a table; RUSTIC_PLUGIN does.", exceptions},
    {"contract.status", 2, stage::answers, "statuses are known",
     "Use enum rai_status_code; what else went wrong stands in the body.", status},
    {"contract.result", 2, stage::answers, "results are JSON objects",
     "Build the body with a JSON library; json::serialize of rustic/json.hpp.", result},
    {"contract.tool_result", 3, stage::answers, "tools answer in form",
     "{\"success\", \"output\", \"error\", \"metadata\"}; rustic::to_body(tool_result) writes it.",
     tool_shape},
    {"contract.tool_error", 4, stage::answers, "failed tools say why",
     "Say in \"error\" what the model can do; tool_result::failed(reason).", tool_failure},
    {"contract.error_body", 3, stage::answers, "errors have a message",
     "{\"message\", \"hint\"}: operation, subject, cause, next step; rustic::failure does.",
     error_body},
    {"contract.error_text", 3, stage::answers, "errors are readable text",
     "Pass foreign bytes through rustic::to_utf8 and cut with cut_utf8.", error_text},
    {"contract.no_method", 7, stage::answers, "refuses unknown methods",
     "Compare the method and finish with RAI_UNIMPLEMENTED; add_tool does.", no_method},
    {"contract.idempotent", 6, stage::answers, "idempotent is true",
     "Do not say \"idempotent\" of a tool whose answer changes.", idempotent},
    {"contract.concurrent", 2, stage::answers, "calls side by side",
     "Guard what calls share; keep what belongs to one call in op->self.", concurrent},
    {"contract.log", 4, stage::answers, "log lines are in order",
     "Pass foreign bytes through rustic::to_utf8; use enum rai_log_level.", log_form},
    {"contract.secrets", 2, stage::answers, "tells no secrets",
     "Log no configuration and no header; name a secret by its reference only.", secrets},
    {"contract.output", 3, stage::answers, "prints nothing",
     "Emit RAI_EVENT_OUTPUT, or log; standard output belongs to the program.", output},
    {"contract.prompt", 5, stage::answers, "call does not block",
     "Do the work on a worker: setup::blocking or add_tool; or in a coroutine.", prompt},
    {"contract.threads", 4, stage::answers, "no thread per call",
     "Join what a call started before its finish; setup::blocking has a pool.", threads},
    {"contract.descriptors", 4, stage::answers, "no descriptor is lost",
     "Close files by objects whose destructors do it.", files},
    {"contract.memory", 4, stage::answers, "no memory is lost",
     "Free a call's state in op->release, which comes once for every call.", memory},
    {"contract.requests", 3, stage::answers, "sound calls to others",
     "Targets are interface/name, bodies JSON objects; context::call fills the rest.", requests},
    {"contract.parents", 5, stage::answers, "calls have their parent",
     "Pass the served call as parent; context::call does.", parents},
    {"contract.declared", 6, stage::answers, "calls only what it names",
     "Add the target to \"requires\" or \"wants\".", declared},
};
}  // namespace

std::span<const check> contract_checks() {
  return table;
}
}  // namespace rustic::validator
