// argument_checks.cpp - requests that nobody should make and somebody will.
#include "host/validator/process_state.hpp"
#include "host/validator/trial.hpp"
#include "host/validator/trying.hpp"

namespace rustic::validator {
namespace {

void must_answer(running_plugin& p, const sample& one) {
  const auto got = try_call(p, one);
  p.t.expect(got.finished, "a finish, whatever the request is",
             name_of(one) + " did not finish; its body was " + shown(one.plan.body, 60));
}

void refuses_or_runs(running_plugin& p, const sample& one) {
  const auto got = try_call(p, one);
  p.t.expect(got.finished, "a finish, whatever the request is", name_of(one) + " did not finish");
  const auto problem = form_problem(one, got);
  p.t.expect(problem.empty(), "a sound result or error", problem);
}

// The first call of each target that may be given any request.
std::vector<sample> open_samples(trial& t) {
  std::vector<sample> out;
  for (auto& one : one_sample_each(t))
    if (is_harmless(t, one.service)) out.push_back(std::move(one));
  if (out.empty()) t.skip("its tools may do something when their arguments are missing");
  return out;
}

void bounds(trial& t) {
  running_plugin p(t);
  for (auto& one : main_samples(t)) {
    one.plan.guarded = true;
    one.plan.data = "raw";
    must_answer(p, one);
  }
}

void borrowed(trial& t) {
  running_plugin p(t);
  for (auto& one : main_samples(t)) {
    one.plan.revoked = true;
    must_answer(p, one);
  }
}

void answers(trial& t) {
  running_plugin p(t);
  p.host.revokes_answers = true;
  for (const auto& one : main_samples(t)) must_answer(p, one);
  if (p.host.outgoing_made() == 0) t.skip("it makes no calls");
}

void types(trial& t) {
  running_plugin p(t);
  bool any = false;
  for (const auto& one : all_samples(t)) {
    if (one.kind != sample_kind::bad_arguments) continue;
    any = true;
    refuses_or_runs(p, one);
  }
  if (!any) t.skip("there are no wrong arguments that can be tried");
}

void missing(trial& t) {
  running_plugin p(t);
  bool any = false;
  for (const auto& one : all_samples(t)) {
    if (one.kind != sample_kind::bad_arguments || !one.what.starts_with("without ")) continue;
    any = true;
    const auto got = try_call(p, one);
    if (!got.ok()) continue;
    bool success = true;
    try {
      success = bool_or(parse_object(got.body), "success", true);
    } catch (const std::exception&) {  // contract.result tells
    }
    t.expect(!success, "RAI_INVALID_ARGUMENT, or \"success\": false",
             name_of(one) + ": success, " + shown(got.body, 80));
  }
  if (!any) t.skip("there is nothing that it requires");
}

void garbage(trial& t) {
  running_plugin p(t);
  for (auto one : open_samples(t))
    for (const auto& body :
         {std::string(), std::string("{"), std::string("[]"), std::string("null"), std::string("7"),
          std::string("\"x\""), std::string("{\"id\":}"), std::string("{\"id\":\"\xff\xfe\"}"),
          std::string(1, '\0'), std::string("{} {}"), std::string("{\"arguments\":[]}"),
          std::string("{\"arguments\":7,\"id\":[]}")}) {
      one.what = "a request that is " + shown(body, 30);
      one.plan.body = body;
      refuses_or_runs(p, one);
    }
}

void deep(trial& t) {
  running_plugin p(t);
  for (auto one : open_samples(t))
    for (const std::size_t levels : {40u, 5'000u, 200'000u}) {
      one.what = std::to_string(levels) + " levels deep";
      one.plan.body = "{\"id\":\"c\",\"arguments\":{\"deep\":" + std::string(levels, '[') +
                      std::string(levels, ']') + "}}";
      must_answer(p, one);
    }
}

// Every text of a value, made longer.
void lengthen(json::value& value, const std::string& by) {
  if (auto* text = value.if_string()) {
    text->append(by);
  } else if (auto* object = value.if_object()) {
    for (auto& [key, member] : *object) lengthen(member, by);
  } else if (auto* list = value.if_array()) {
    for (auto& member : *list) lengthen(member, by);
  }
}

void changed_texts(trial& t, const std::string& by, const std::string& what) {
  running_plugin p(t);
  bool any = false;
  for (auto one : main_samples(t)) {
    if (one.kind == sample_kind::no_method) continue;
    auto body = parse_object(one.plan.body);
    const auto id = body.contains("id") ? body.at("id") : json::value();
    json::value whole = body;
    lengthen(whole, by);
    // A tool that writes must not be given other arguments than it was to have.
    const auto& notes = object_or_empty(attributes_of(t, one.service), "annotations");
    if (interface_of(one.service) == "rustic.tool" && !bool_or(notes, "read_only")) continue;
    any = true;
    one.what = what;
    one.plan.body = json::serialize(whole);
    must_answer(p, one);
  }
  if (!any) t.skip("no call with texts can be tried");
}
void long_texts(trial& t) {
  changed_texts(t, std::string(1u << 20, 'x'), "texts of 1 MiB");
}
void odd_texts(trial& t) {
  std::string odd;
  odd += '\0';
  odd += "\n\r\t\x1b[31m%s%n../../\"\\\xf0\x9f\x98\x80\xe2\x80\xae";
  changed_texts(t, odd, "texts with control characters");
}

void large_list(trial& t) {
  running_plugin p(t);
  for (auto one : open_samples(t)) {
    json::array many(50'000, json::value("x"));
    one.what = "a list of 50000 items";
    one.plan.body = json::serialize(json::object{{"id", "c"}, {"arguments", {{"list", many}}}});
    must_answer(p, one);
  }
}

void more_members(trial& t) {
  running_plugin p(t);
  bool any = false;
  for (auto one : good_samples(t)) {
    const auto before = try_call(p, one);
    if (!before.ok()) continue;
    any = true;
    auto body = parse_object(one.plan.body);
    body["a_member_of_next_year"] = json::object{{"x", 1}};
    one.plan.body = json::serialize(body);
    const auto got = try_call(p, one);
    t.expect(got.ok(), "members of the request that it does not know are ignored",
             name_of(one) + ": status " + std::to_string(got.status) + ", " + shown(got.body, 80));
  }
  if (!any) t.skip("no call that can be tried succeeds");
}

void data(trial& t) {
  running_plugin p(t);
  for (auto one : main_samples(t)) {
    one.plan.data = std::string(100'000, '\xff');
    must_answer(p, one);
  }
}

void random_bytes(trial& t) {
  running_plugin p(t);
  const auto all = open_samples(t);
  for (int round = 0; round < 150; ++round) {
    auto one = all[t.random()() % all.size()];
    auto& body = one.plan.body;
    for (auto changes = 1 + t.random()() % 4; changes != 0; --changes) {
      const auto at = body.empty() ? 0 : t.random()() % body.size();
      switch (t.random()() % 4) {
        case 0:
          if (!body.empty()) body[at] = static_cast<char>(t.random()() % 256);
          break;
        case 1:
          body.erase(at, t.random()() % 8);
          break;
        case 2:
          body.insert(at, 1 + t.random()() % 3, "{}[]\",:0\\"[t.random()() % 9]);
          break;
        default:
          body.insert(at, body.substr(at, t.random()() % 16));
      }
    }
    one.what = "round " + std::to_string(round);
    t.step(name_of(one) + " " + shown(body, 100));
    const auto got = p.host.run(p.life.service(one.service), one.plan, answer_time_max_ms);
    t.expect(got.finished, "a finish, whatever the request is",
             "none for " + shown(body) + "; --seed " + std::to_string(t.with().seed));
  }
}

constexpr std::string_view parse_first =
    "Parse with rustic::parse_object, read with text_or and the like, and refuse the rest.";

constexpr check table[] = {
    {"argument.bounds", 1, stage::answers, "reads no byte too many",
     "Texts have a length and no zero byte at their end; rustic::to_view respects it.", bounds},
    {"argument.borrowed", 1, stage::answers, "copies what it keeps",
     "Copy the request before `call` returns; the SDK's context holds such a copy.", borrowed},
    {"argument.answers", 1, stage::answers, "copies what others say",
     "Copy the text of an event or a result before the observer returns; context::call does.",
     answers},
    {"argument.types", 2, stage::answers, "survives wrong arguments", parse_first, types},
    {"argument.missing", 5, stage::answers, "refuses missing arguments",
     "throw failure(INVALID_ARGUMENT), or tool_result::failed(what is missing).", missing},
    {"argument.garbage", 2, stage::answers, "survives a request of junk", parse_first, garbage},
    {"argument.deep", 2, stage::answers, "survives deep nesting",
     "Parse with a limit of depth; rustic::parse_json has one of 64 levels.", deep},
    {"argument.long", 3, stage::answers, "survives long texts",
     "Hold texts in objects that grow; refuse what is too long.", long_texts},
    {"argument.odd", 3, stage::answers, "survives odd characters",
     "A text may hold zero bytes, quotes and control characters.", odd_texts},
    {"argument.large", 4, stage::answers, "survives long lists", parse_first, large_list},
    {"argument.members", 4, stage::answers, "ignores unknown members",
     "Read the members that you know; later versions of an interface add some.", more_members},
    {"argument.data", 3, stage::answers, "survives raw data",
     "Leave request->data alone where the method takes none.", data},
    {"argument.random", 5, stage::answers, "survives random requests", parse_first, random_bytes},
};
}  // namespace

std::span<const check> argument_checks() {
  return table;
}
}  // namespace rustic::validator
