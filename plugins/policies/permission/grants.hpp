// What a person has allowed by an answer, and where such answers are kept.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <rustic/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace rustic::permission {

// One lasting permission. It allows what it names and nothing else.
struct grant {
  std::string tool;
  // Exactly one of the three: words of a command (exact: the whole command), a directory and what
  // is below it, or neither (the tool).
  std::vector<std::string> argv;
  bool exact = false;
  std::string directory;
  // For an audit: when, in which session, what was asked.
  std::int64_t granted_at_ms = 0;
  std::string session;
  std::string asked;

  bool same_permission(const grant& other) const;
  // For a person: what exactly is allowed.
  [[nodiscard]] std::string describe() const;
};

json::value to_json(const std::vector<grant>& grants);
// Entries that cannot be read allow nothing: they are left out and counted.
std::vector<grant> read_grants(const json::value& value, std::size_t* unreadable);

// Adds what is not there yet; the oldest go when there would be more than max_grants_per_scope.
void merge_grants(std::vector<grant>& into, const std::vector<grant>& added);

// The grants of the sessions now in use. Threads: one at a time, its owner locks.
class session_grants {
 public:
  // null: nothing is known of that session, its storage has not been read.
  const std::vector<grant>* find(std::string_view session);
  // Merges, so that an answer given while the storage was read is kept.
  void loaded(std::string_view session, const std::vector<grant>& stored);
  void add(std::string_view session, const std::vector<grant>& added);
  // What was answered while the session's storage could not be read.
  std::vector<grant> unstored(std::string_view session) const;
  std::size_t size() const noexcept { return sessions_.size(); }

 private:
  struct entry {
    std::vector<grant> grants;
    bool loaded = false;
    std::uint64_t used = 0;
  };
  entry& at(std::string_view session);

  std::map<std::string, entry, std::less<>> sessions_;
  std::uint64_t clock_ = 0;
};

}  // namespace rustic::permission
