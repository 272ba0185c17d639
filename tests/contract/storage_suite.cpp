#include "storage_suite.hpp"

#include <doctest/doctest.h>

namespace rustic::contract {

void run_storage_suite(const make_storage& make) {
  for (const auto& one : storage_cases()) SUBCASE(std::string(one.name).c_str()) {
      CHECK(run_storage_case(one.name, make) == "");
    }
}
}  // namespace rustic::contract
