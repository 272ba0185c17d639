// The examples of storage backends under the suite that the shipped backends pass: EXAMPLE_NAME is
// the plugin's name and EXAMPLE_FILE its file.
#include <stdlib.h>

#include <doctest/doctest.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <thread>
#include <vector>

#include "loaded_service.hpp"
#include "storage_suite.hpp"

namespace {
using rustic::status_code;
using rustic::contract::loaded_service;
namespace fs = std::filesystem;

struct backend {
  explicit backend(std::int64_t max_history_size = 100'000) {
    REQUIRE(::mkdtemp(folder.data()) != nullptr);
    open(max_history_size);
  }
  ~backend() {
    service.reset();
    fs::remove_all(folder);
  }
  void open(std::int64_t max_history_size) {
    service.reset();
    service = std::make_unique<loaded_service>(EXAMPLE_FILE, "rustic.storage/" EXAMPLE_NAME,
                                               R"({"connection_string":")" + folder +
                                                   R"(/new/sessions","max_history_size":)" +
                                                   std::to_string(max_history_size) + "}");
  }
  std::string folder = (fs::temp_directory_path() / EXAMPLE_NAME "-XXXXXX").string();
  std::unique_ptr<loaded_service> service;
};
}  // namespace

TEST_CASE("the storage example keeps the contract") {
  rustic::contract::run_storage_suite([](const rustic::contract::storage_setting& setting) {
    auto made = std::make_shared<backend>(setting.max_history_size);
    return [made](std::string_view method, std::string_view request) {
      return made->service->call(method, request);
    };
  });
}

TEST_CASE("a cancelled call of the storage example finishes once, done or not") {
  backend made;
  std::atomic<int> created{0}, cancelled{0}, other{0};
  std::vector<std::thread> callers;
  for (int t = 0; t < 4; ++t)
    callers.emplace_back([&, t] {
      for (int i = 0; i < 25; ++i) {
        const auto id = std::to_string(t) + "-" + std::to_string(i);
        const auto status =
            made.service
                ->call("session.create",
                       R"({"session":{"id":")" + id + R"(","created_at_ms":1,"updated_at_ms":1}})",
                       true)
                .first;
        ++(status == status_code::ok          ? created
           : status == status_code::cancelled ? cancelled
                                              : other);
      }
    });
  for (auto& one : callers) one.join();
  CHECK(other == 0);
  CHECK(created + cancelled == 100);
  // CANCELLED means that nothing was changed, and the next life sees what was.
  made.open(100'000);
  CHECK(made.service->call("stats", "{}")
            .second.find("\"sessions\":" + std::to_string(created) + ",") != std::string::npos);
}
