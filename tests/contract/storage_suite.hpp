// storage_suite.hpp - the storage suite of the validator as doctest cases.
#pragma once
#include "host/validator/storage_suite.hpp"

namespace rustic::contract {

// Runs every case as a doctest SUBCASE: call it once, from inside a TEST_CASE.
void run_storage_suite(const make_storage& make);
}  // namespace rustic::contract
