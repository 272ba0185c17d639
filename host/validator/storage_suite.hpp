// host/validator/storage_suite.hpp - what every backend of rustic.storage must do: one suite, run
// against any of them, by the validator and by the tests of the backends.
#pragma once
#include <cstdint>
#include <functional>
#include <rustic/status.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rustic::contract {

// One call: method and request text in, status and body text out. Called from several threads at
// once by the concurrency case.
using storage_backend = std::function<std::pair<status_code, std::string>(
    std::string_view method, std::string_view request)>;

struct storage_setting {
  std::int64_t max_history_size = 100'000;
};
// Makes a backend that holds nothing. Whatever it needs lives as long as the function it returns.
using make_storage = std::function<storage_backend(const storage_setting&)>;

struct storage_case {
  std::string_view name;   // "sessions"
  std::string_view title;  // for people
};
std::vector<storage_case> storage_cases();

// Runs one case with a backend of its own. Empty, or what was expected and what came; nothing is
// thrown.
std::string run_storage_case(std::string_view name, const make_storage& make);
}  // namespace rustic::contract
