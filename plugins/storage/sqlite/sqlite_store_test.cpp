#include "sqlite_store.hpp"

#include <doctest/doctest.h>

#include <condition_variable>
#include <memory>
#include <mutex>

#include "../../../tests/contract/storage_suite.hpp"
#include "group_committer.hpp"
#include "scratch_folder_test.hpp"

using rustic::status_code;
using namespace rustic::storage;

TEST_CASE("the store keeps the contract") {
  rustic::contract::run_storage_suite([](const rustic::contract::storage_setting& setting) {
    struct backend {
      scratch_folder folder;
      std::mutex mutex;
      std::unique_ptr<sqlite_store> store;
    };
    auto made = std::make_shared<backend>();
    sqlite_settings settings;
    settings.path = made->folder.path("storage.db");
    settings.max_history_size = setting.max_history_size;
    made->store = std::make_unique<sqlite_store>(settings);
    return [made](std::string_view method, std::string_view request) {
      const std::lock_guard lock(made->mutex);
      auto reply = made->store->execute(method, request);
      return std::pair{reply.status, std::move(reply.body)};
    };
  });
}

TEST_CASE("the committer keeps the contract") {
  rustic::contract::run_storage_suite([](const rustic::contract::storage_setting& setting) {
    struct backend {
      scratch_folder folder;
      std::unique_ptr<group_committer> committer;
    };
    auto made = std::make_shared<backend>();
    sqlite_settings settings;
    settings.path = made->folder.path("storage.db");
    settings.max_history_size = setting.max_history_size;
    made->committer = std::make_unique<group_committer>(settings);
    return [made](std::string_view method, std::string_view request) {
      return call_and_wait(*made->committer, method, request);
    };
  });
}
