// log_map.hpp - an ordered map of texts in one file that only grows: transactions, durable, shared
// by processes.
//
// Every process has all of it in memory. A transaction holds a lock, so there is one at a time
// among all processes; it begins by reading what others have appended, and what it changes is
// appended as one record with a checksum. A record that a crash cut short is removed by whoever
// comes next.
#pragma once
#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "limits.hpp"

namespace file_store_plugin {

// Threads: one at a time, but stop_waiting from any. Errors: failure (UNAVAILABLE,
// RESOURCE_EXHAUSTED, FAILED_PRECONDITION, DATA_LOSS).
class log_map {
 public:
  using map = std::map<std::string, std::string, std::less<>>;

  explicit log_map(std::string path, std::int64_t live_bytes_max = live_bytes_max_default);
  ~log_map();
  log_map(const log_map&) = delete;
  log_map& operator=(const log_map&) = delete;

  // Makes the folder, and finds out early that nothing can be written there. Opens no file.
  void prepare() const;
  // From now on nobody waits for another process.
  void stop_waiting() noexcept { stopping_ = true; }

  // Everything between its beginning and commit() counts, or nothing of it.
  class transaction {
   public:
    explicit transaction(log_map& owner);
    ~transaction();  // takes back what was not committed
    transaction(const transaction&) = delete;
    transaction& operator=(const transaction&) = delete;
    // On the disk when it returns; throws with nothing changed.
    void commit();

   private:
    log_map& owner_;
  };

  // The rest only inside a transaction.
  const map& entries() const noexcept { return entries_; }
  const std::string* find(std::string_view key) const;
  void put(std::string_view key, std::string value);
  void erase(std::string_view key);
  // How many were removed.
  std::int64_t erase_prefix(std::string_view prefix);
  std::int64_t file_bytes() const noexcept { return end_; }

 private:
  // What one change did, in a form that takes no memory to be undone.
  struct change {
    map::node_type removed;            // the entry that was there, or
    map::value_type* entry = nullptr;  // the one that is
    bool is_new = false;               // which was not there before, or
    std::string old_value;             // had this value
    std::string_view key() const { return entry ? entry->first : removed.key(); }
  };

  void lock();
  void unlock() noexcept;
  void roll_back() noexcept;
  void open_file();
  void close_file() noexcept;
  void begin_file(std::int64_t size);
  void read_new_records();
  bool only_zeros(std::int64_t until) const;
  void apply_record(std::string_view payload);
  std::string record_of_changes() const;
  void append(const std::string& record);
  void rewrite();

  const std::string path_;
  const std::int64_t live_bytes_max_;
  std::atomic<bool> stopping_{false};
  int lock_descriptor_ = -1;
  int descriptor_ = -1;
  map entries_;
  std::vector<change> changes_;
  std::int64_t live_bytes_ = 0;
  std::int64_t end_ = 0;               // of the last record that was read or written
  std::int64_t rewrite_again_at_ = 0;  // after a failed one, when the file has grown to this
};
}  // namespace file_store_plugin
