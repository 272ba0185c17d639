// storage_checks.cpp - the storage suite, on the plugin through its contract.
#include <rustic/status.hpp>

#include "host/validator/storage_suite.hpp"
#include "host/validator/trial.hpp"
#include "host/validator/trying.hpp"

namespace rustic::validator {
namespace {

// One life of the plugin, made for one case. It is not ended: the process is.
struct backend {
  backend(trial& t, const contract::storage_setting& setting, std::string name)
      : host(workspace_of(t)), plugin(t), life(t, plugin, host), target(std::move(name)) {
    auto config = parse_object(sample_config(t));
    config["max_history_size"] = setting.max_history_size;
    const auto made = life.create(json::serialize(config));
    if (!made.ok()) t.skip("create fails with max_history_size: " + shown(made.words));
    if (!life.start().ok()) t.skip("start fails");
    service = life.service(target);
  }
  strict_host host;
  opened_plugin plugin;
  instance life;
  std::string target;
  rai_service service{};
};

void run_case(trial& t, std::string_view name) {
  bool any = false;
  for (const auto& target : targets_of(t)) {
    if (interface_of(target) != "rustic.storage") continue;
    any = true;
    t.step("the case \"" + std::string(name) + "\" of the storage suite");
    const auto found = contract::run_storage_case(
        name, [&](const contract::storage_setting& setting) -> contract::storage_backend {
          const auto made = std::make_shared<backend>(t, setting, target);
          return [made](std::string_view method, std::string_view request) {
            call_plan plan;
            plan.target = made->target;
            plan.method = method;
            plan.body = request;
            auto got = made->host.run(made->service, std::move(plan), 3 * answer_time_max_ms);
            if (!got.finished)
              return std::pair{status_code::deadline_exceeded, std::string("no finish")};
            return std::pair{static_cast<status_code>(got.status), std::move(got.body)};
          };
        });
    t.expect(found.empty(), "what docs/interfaces/storage.md says", found);
  }
  if (!any) t.skip("it offers no rustic.storage");
}

void sessions(trial& t) {
  run_case(t, "sessions");
}
void listing(trial& t) {
  run_case(t, "listing");
}
void deletion(trial& t) {
  run_case(t, "deletion");
}
void messages(trial& t) {
  run_case(t, "messages");
}
void ranges(trial& t) {
  run_case(t, "ranges");
}
void search(trial& t) {
  run_case(t, "search");
}
void state(trial& t) {
  run_case(t, "state");
}
void journals(trial& t) {
  run_case(t, "journals");
}
void leases(trial& t) {
  run_case(t, "leases");
}
void apply(trial& t) {
  run_case(t, "apply");
}
void trimming(trial& t) {
  run_case(t, "trimming");
}
void refusals(trial& t) {
  run_case(t, "refusals");
}
void large(trial& t) {
  run_case(t, "large");
}
void concurrency(trial& t) {
  run_case(t, "concurrency");
}
void stats(trial& t) {
  run_case(t, "stats");
}

constexpr std::string_view page =
    "docs/interfaces/storage.md has the rules; the SDK's storage library and the example of a "
    "backend keep them.";
constexpr std::uint32_t time_max_ms = 60'000;  // a slow disk is no breach

constexpr check row(std::string_view name, int level, std::string_view title, void (*run)(trial&)) {
  return {name, level, stage::answers, title, page, run, stage::nothing, false, false, time_max_ms};
}

constexpr check table[] = {
    row("storage.sessions", 2, "sessions", sessions),
    row("storage.listing", 2, "lists of sessions", listing),
    row("storage.deletion", 2, "deleting a session", deletion),
    row("storage.messages", 2, "messages", messages),
    row("storage.ranges", 2, "ranges of messages", ranges),
    row("storage.search", 4, "searching", search),
    row("storage.state", 2, "state with versions", state),
    row("storage.journals", 2, "journals", journals),
    row("storage.leases", 2, "leases", leases),
    row("storage.apply", 2, "all or nothing", apply),
    row("storage.trimming", 3, "trimming of long sessions", trimming),
    row("storage.refusals", 3, "refuses what is wrong", refusals),
    row("storage.large", 3, "large messages", large),
    row("storage.concurrency", 2, "many callers at once", concurrency),
    row("storage.stats", 4, "figures", stats),
};
}  // namespace

std::span<const check> storage_checks() {
  return table;
}
}  // namespace rustic::validator
