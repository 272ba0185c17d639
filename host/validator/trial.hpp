// host/validator/trial.hpp - one check of one plugin under way: what it may look at, and how it
// ends.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <random>
#include <rustic/json.hpp>
#include <string>
#include <string_view>

#include "host/validator/check.hpp"
#include "host/validator/elf_image.hpp"
#include "kernel/abi/manifest.hpp"

namespace rustic::validator {

// Ends a trial that runs in the validator's own process. Checks do not catch it.
struct trial_ended {
  verdict result;
};

class trial {
 public:
  struct setting {
    std::filesystem::path file;     // absolute
    std::filesystem::path scratch;  // an empty folder of its own, which is also the home
    std::uint64_t seed = 1;
    std::string config;      // a JSON object; empty: one is made from the schema
    int report = -1;         // descriptor for lines; -1: the trial ends by exception
    std::string_view check;  // its name
  };
  explicit trial(setting with);

  // Threads: any. In a process of its own these write the verdict and end the process at once, so
  // that nothing of a broken plugin runs any more.
  [[noreturn]] void fail(std::string expected, std::string seen);
  [[noreturn]] void skip(std::string reason);
  void expect(bool holds, std::string expected, std::string seen) {
    if (!holds) fail(std::move(expected), std::move(seen));
  }
  // What comes next, for the report of a crash.
  void step(std::string_view what);
  void pass_and_write();

  const setting& with() const noexcept { return with_; }
  const std::filesystem::path& file() const noexcept { return with_.file; }
  const std::filesystem::path& scratch() const noexcept { return with_.scratch; }
  std::mt19937_64& random() noexcept { return random_; }
  std::string unique() { return std::to_string(++uniques_); }  // another text each time

  // Read when first asked for. A file without them ends the trial as skipped.
  const elf_image& elf();
  const json::object& manifest();  // as it is written
  const kernel::abi::manifest& about();

 private:
  void end(const verdict& how);
  void write_line(const json::object& line);

  const setting with_;
  std::mt19937_64 random_;
  int uniques_ = 0;
  std::unique_ptr<elf_image> elf_;
  std::optional<json::object> manifest_;
  std::optional<kernel::abi::manifest> about_;
};

// A value for a report: one line, valid UTF-8, cut to what a person reads.
std::string shown(std::string_view text, std::size_t bytes_max = shown_bytes_max);
}  // namespace rustic::validator
