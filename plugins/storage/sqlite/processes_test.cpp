#include <doctest/doctest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <new>

#include "database.hpp"
#include "scratch_folder_test.hpp"
#include "sqlite_store.hpp"

using rustic::status_code;
using namespace rustic::storage;

namespace {
constexpr int processes = 32;
constexpr int turns = 100;

// One process: opens, makes its turns like an agent would, closes. Gives the number of errors.
int take_turns(const sqlite_settings& settings, int self, std::atomic<std::int64_t>& slowest_us) {
  using clock = std::chrono::steady_clock;
  int errors = 0;
  const auto own = "p" + std::to_string(self);
  const auto expect_ok = [&](const std::pair<status_code, std::string>& result) {
    if (result.first == status_code::ok) return;
    ++errors;
    std::fprintf(stderr, "process %d: %s\n", self, result.second.c_str());
  };
  group_committer committer(settings);
  for (int turn = 0; turn < turns; ++turn) {
    const auto began = clock::now();
    expect_ok(call_and_wait(
        committer, "apply",
        R"({"operations":[{"method":"messages.append","session":"shared","messages":[{"role":"user","parts":[{"type":"text","text":")" +
            own + R"("}],"created_at_ms":1}]},{"method":"journal.append","stream":"session:)" +
            own + R"(/turns","records":[{"turn":)" + std::to_string(turn) +
            R"(}]},{"method":"state.put","scope":"turns","key":")" + own + R"(","value":)" +
            std::to_string(turn) + "}]}"));
    const std::int64_t took_us =
        std::chrono::duration_cast<std::chrono::microseconds>(clock::now() - began).count();
    for (auto seen = slowest_us.load(); took_us > seen;)
      if (slowest_us.compare_exchange_weak(seen, took_us)) break;
    const auto read =
        call_and_wait(committer, "state.get", R"({"scope":"turns","key":")" + own + "\"}");
    expect_ok(read);
    if (read.second.find("\"value\":" + std::to_string(turn) + ",") == std::string::npos) ++errors;
  }
  committer.stop();
  return errors;
}
}  // namespace

TEST_CASE("32 processes with 100 turns each: no error, no lost turn") {
  const scratch_folder folder;
  const sqlite_settings settings{.path = folder.path("storage.db")};
  {
    sqlite_store store(settings);
    REQUIRE(store
                .execute("session.create",
                         R"({"session":{"id":"shared","created_at_ms":1,"updated_at_ms":1}})")
                .status == status_code::ok);
  }
  void* const shared = ::mmap(nullptr, sizeof(std::atomic<std::int64_t>), PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REQUIRE(shared != MAP_FAILED);
  auto& slowest_us = *new (shared) std::atomic<std::int64_t>(0);
  const auto began = std::chrono::steady_clock::now();
  std::vector<pid_t> children;
  for (int self = 0; self < processes; ++self) {
    const auto child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) ::_exit(std::min(take_turns(settings, self, slowest_us), 100));
    children.push_back(child);
  }
  for (const auto child : children) {
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  MESSAGE("seconds: " << took.count() << ", slowest call in ms: " << slowest_us / 1000);
  ::munmap(shared, sizeof(std::atomic<std::int64_t>));

  sqlite_store store(settings);
  const auto range = rustic::parse_object(
      store.execute("messages.range", R"({"session":"shared","limit":100000})").body);
  const auto& messages = rustic::array_or_empty(range, "messages");
  REQUIRE(messages.size() == processes * turns);
  CHECK(messages.back().at("seq") == processes * turns);
  for (int self = 0; self < processes; ++self) {
    const auto journal = rustic::parse_object(
        store
            .execute("journal.read", R"({"stream":"session:p)" + std::to_string(self) + "/turns\"}")
            .body);
    CHECK(rustic::array_or_empty(journal, "records").size() == turns);
  }
  store.close();
  CHECK(connection(settings.path, 1000).word("PRAGMA integrity_check") == "ok");
}

TEST_CASE("processes that open and close all the time lose nothing") {
  const scratch_folder folder;
  const sqlite_settings settings{.path = folder.path("storage.db")};
  constexpr int openers = 8, rounds = 15;
  std::vector<pid_t> children;
  for (int self = 0; self < openers; ++self) {
    const auto child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      int errors = 0;
      for (int round = 0; round < rounds; ++round) {
        sqlite_store store(settings);
        const auto reply = store.execute(
            "journal.append", R"({"stream":"j","records":[{"p":)" + std::to_string(self) + "}]}");
        if (reply.status == status_code::ok) continue;
        ++errors;
        std::fprintf(stderr, "process %d: %s\n", self, reply.body.c_str());
      }
      ::_exit(errors);
    }
    children.push_back(child);
  }
  for (const auto child : children) {
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
  }
  sqlite_store store(settings);
  const auto journal =
      rustic::parse_object(store.execute("journal.read", R"({"stream":"j"})").body);
  CHECK(rustic::array_or_empty(journal, "records").size() == openers * rounds);
}
