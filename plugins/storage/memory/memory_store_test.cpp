#include "memory_store.hpp"

#include <doctest/doctest.h>

#include <memory>

#include "../../../tests/contract/loaded_service.hpp"
#include "../../../tests/contract/storage_suite.hpp"

using rustic::status_code;
using namespace rustic::storage;

TEST_CASE("memory storage keeps the contract") {
  rustic::contract::run_storage_suite([](const rustic::contract::storage_setting& setting) {
    memory_settings settings;
    settings.max_history_size = setting.max_history_size;
    auto store = std::make_shared<memory_store>(settings);
    return [store](std::string_view method, std::string_view request) {
      auto reply = store->execute(method, request);
      return std::pair{reply.status, std::move(reply.body)};
    };
  });
}

TEST_CASE("a full memory storage refuses and stays usable") {
  memory_settings settings;
  settings.max_bytes = 10'000;
  memory_store store(settings);
  const auto put = [&](const char* key, std::size_t bytes) {
    return store
        .execute("state.put", R"({"scope":"s","key":")" + std::string(key) + R"(","value":")" +
                                  std::string(bytes, 'x') + "\"}")
        .status;
  };
  CHECK(put("a", 6000) == status_code::ok);
  CHECK(put("b", 6000) == status_code::resource_exhausted);
  CHECK(store.execute("state.get", R"({"scope":"s","key":"b"})").status == status_code::not_found);
  CHECK(put("a", 9000) == status_code::ok);  // replaces, so it fits
  CHECK(store.execute("state.delete", R"({"scope":"s","key":"a"})").status == status_code::ok);
  CHECK(put("b", 6000) == status_code::ok);
  // The room that a failed apply took is free again.
  for (int i = 0; i < 10; ++i)
    CHECK(store
              .execute("apply",
                       R"({"operations":[{"method":"state.put","scope":"s","key":"c","value":")" +
                           std::string(3000, 'x') + R"("},{"method":"session.get","id":"none"}]})")
              .status == status_code::not_found);
  CHECK(put("c", 3000) == status_code::ok);
}

TEST_CASE("the loaded plugin keeps the contract") {
  rustic::contract::run_storage_suite([](const rustic::contract::storage_setting& setting) {
    auto loaded = std::make_shared<rustic::contract::loaded_service>(
        MEMORY_PLUGIN, "rustic.storage/memory",
        "{\"max_history_size\":" + std::to_string(setting.max_history_size) + "}");
    return [loaded](std::string_view method, std::string_view request) {
      return loaded->call(method, request);
    };
  });
}

TEST_CASE("a senseless configuration is refused") {
  CHECK_THROWS_AS(rustic::contract::loaded_service(MEMORY_PLUGIN, "rustic.storage/memory",
                                                   R"({"max_history_size":0})"),
                  rustic::failure);
}
