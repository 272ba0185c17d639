#include <doctest/doctest.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <thread>
#include <vector>

#include "../../../tests/contract/loaded_service.hpp"
#include "../../../tests/contract/storage_suite.hpp"
#include "scratch_folder_test.hpp"

using rustic::status_code;
using rustic::contract::loaded_service;
using namespace rustic::storage;

namespace {
constexpr const char* target = "rustic.storage/sqlite";

std::string config(const std::string& path, const std::string& more = "") {
  return R"({"connection_string":")" + path + "\"" + more + "}";
}
std::size_t threads() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& task : std::filesystem::directory_iterator("/proc/self/task"))
    ++count;
  return count;
}
std::string create(const std::string& id) {
  return R"({"session":{"id":")" + id + R"(","created_at_ms":1,"updated_at_ms":1}})";
}
}  // namespace

TEST_CASE("the loaded plugin keeps the contract") {
  rustic::contract::run_storage_suite([](const rustic::contract::storage_setting& setting) {
    struct backend {
      scratch_folder folder;
      std::unique_ptr<loaded_service> service;
    };
    auto made = std::make_shared<backend>();
    made->service = std::make_unique<loaded_service>(
        SQLITE_PLUGIN, target,
        config(made->folder.path("storage.db"), ",\"busy_timeout\":\"20s\",\"max_history_size\":" +
                                                    std::to_string(setting.max_history_size)));
    return [made](std::string_view method, std::string_view request) {
      return made->service->call(method, request);
    };
  });
}

TEST_CASE("starting makes the folder but no thread, and stopping leaves none") {
  const scratch_folder folder;
  const auto before = threads();
  loaded_service service(SQLITE_PLUGIN, target, config(folder.path("new/storage.db")));
  CHECK(threads() == before);
  CHECK(std::filesystem::exists(folder.path("new")));
  CHECK_FALSE(std::filesystem::exists(folder.path("new/storage.db")));
  CHECK(service.call("session.create", create("a")).first == status_code::ok);
  CHECK(threads() == before + 1);
  service.stop();
  CHECK(threads() == before);
  CHECK(service.call("stats", "{}").first == status_code::unavailable);
}

TEST_CASE("a configuration that cannot work is refused with the reason") {
  const auto refusal = [](const std::string& text) {
    try {
      const loaded_service service(SQLITE_PLUGIN, target, text);
      return std::pair{status_code::ok, std::string()};
    } catch (const rustic::failure& problem) {
      return std::pair{problem.problem().code, problem.problem().message};
    }
  };
  for (const std::string& text :
       {std::string("{}"), config(":memory:"), config("/x/y", R"(,"busy_timeout":0)"),
        config("/x/y", R"(,"busy_timeout":"soon")"), config("/x/y", R"(,"max_history_size":0)")}) {
    CAPTURE(text);
    const auto [code, words] = refusal(text);
    CHECK(code == status_code::invalid_argument);
    CHECK_FALSE(words.empty());
  }
  const auto [code, words] = refusal(config("/proc/rustic/storage.db"));
  CHECK(code == status_code::unavailable);
  CHECK(words.find("/proc/rustic") != std::string::npos);
}

TEST_CASE("two hosts can use one image and one file") {
  const scratch_folder folder;
  loaded_service first(SQLITE_PLUGIN, target, config(folder.path("storage.db")));
  loaded_service second(SQLITE_PLUGIN, target, config(folder.path("storage.db")));
  CHECK(first.call("session.create", create("a")).first == status_code::ok);
  CHECK(second.call("session.get", R"({"id":"a"})").first == status_code::ok);
  CHECK(second.call("session.create", create("b")).first == status_code::ok);
  first.stop();
  CHECK(second.call("session.get", R"({"id":"b"})").first == status_code::ok);
}

TEST_CASE("a cancelled call finishes exactly once, done or not") {
  const scratch_folder folder;
  loaded_service service(SQLITE_PLUGIN, target, config(folder.path("storage.db")));
  std::atomic<int> created{0}, cancelled{0}, other{0};
  std::vector<std::thread> callers;
  for (int t = 0; t < 8; ++t)
    callers.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        const auto id = "s" + std::to_string(t) + "-" + std::to_string(i);
        const auto status = service.call("session.create", create(id), true).first;
        ++(status == status_code::ok          ? created
           : status == status_code::cancelled ? cancelled
                                              : other);
      }
    });
  for (auto& one : callers) one.join();
  CHECK(other == 0);
  CHECK(created + cancelled == 400);
  // CANCELLED means that nothing was changed.
  CHECK(service.call("stats", "{}").second.find("\"sessions\":" + std::to_string(created) + ",") !=
        std::string::npos);
}
