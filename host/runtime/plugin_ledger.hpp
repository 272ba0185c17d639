// host/runtime/plugin_ledger.hpp - what is remembered about plugins between runs and told to the
// programs that run: files that are trusted, what is switched off, who died.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace rustic::runtime {
struct options;

struct ledger_plugin {
  bool disabled = false;
  bool quarantined = false;  // it died too often; `plugin enable` forgives
  std::string last_death;    // "SIGSEGV (...)", as the cell said it
  std::vector<std::int64_t> deaths_unix_ms;
  std::int64_t reloads = 0;  // requests of `plugin reload`; each one more is a new request
  bool operator==(const ledger_plugin&) const = default;
};

struct trusted_file {
  std::string id;
  std::string how;  // "installed", "accepted", "reloaded"
  std::int64_t unix_ms = 0;
};

struct ledger_state {
  std::map<std::string, ledger_plugin, std::less<>> plugins;  // by id
  std::map<std::string, trusted_file, std::less<>> trusted;   // by SHA-256, hexadecimal
  std::string problem;  // why the file could not be read; then all is as if there were none

  // What is known of a plugin; the usual when nothing is.
  const ledger_plugin& of(std::string_view id) const;
  void trust(std::string hash, std::string_view id, std::string_view how, std::int64_t unix_ms);
};

// One JSON file (0600), exchanged by rename. Threads: any; processes too.
class plugin_ledger {
 public:
  // An empty path: nothing is kept.
  explicit plugin_ledger(std::filesystem::path file) : file_(std::move(file)) {}
  const std::filesystem::path& file() const noexcept { return file_; }

  // Never throws for what the file holds.
  ledger_state read() const;
  // Reads, lets `edit` change it and writes it, with no other writer in between. Returns what it is
  // then. Throws failure when it cannot be read or written.
  ledger_state change(const std::function<void(ledger_state&)>& edit) const;

 private:
  std::filesystem::path file_;
};

// Where it is; empty when there is no directory for state.
std::filesystem::path ledger_file(const options& with);

// The SHA-256 of a file. Throws failure.
std::string hash_of_plugin_file(const std::filesystem::path& file);
}  // namespace rustic::runtime
