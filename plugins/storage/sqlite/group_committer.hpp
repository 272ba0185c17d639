// group_committer.hpp - the one thread that uses the store: calls that wait together share one
// commit.
//
// While one commit is on its way to the disk, the next calls gather, so many callers cost hardly
// more
// than one. Calls that overlap have no order; what a finished call did is seen by every later one.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "sqlite_store.hpp"

namespace rustic::storage {

// Threads: submit and cancel from any; stop once, from a thread that is not its own. The thread
// starts with the first call and sleeps without a timeout when there is nothing to do.
class group_committer {
 public:
  // Runs on the committer's thread, or inside submit, cancel or stop. Must not block.
  using completion = std::function<void(const sqlite_reply&)>;
  using ticket = std::uint64_t;

  explicit group_committer(sqlite_settings settings) : store_(std::move(settings)) {}
  ~group_committer() { stop(); }
  group_committer(const group_committer&) = delete;
  group_committer& operator=(const group_committer&) = delete;

  // A name for a call, so that it can be cancelled while submit has not returned.
  ticket new_ticket();
  // done runs exactly once. Copies method and body.
  void submit(ticket call, std::string_view method, std::string_view body, completion done);
  // Ends a call that has not been carried out yet with CANCELLED; otherwise nothing happens.
  void cancel(ticket call);
  // Carries out what is queued, closes the database and joins. Later calls get UNAVAILABLE.
  void stop();

 private:
  struct job {
    ticket number = 0;
    std::string method, body;
    completion done;
    bool writes = true;
    read_progress progress;
  };
  void work();
  static void finish(job& one, const sqlite_reply& reply);  // at most once for a job
  std::vector<job> take_batch();
  void run_reads(std::vector<job>& batch);
  void run_writes(std::vector<job>& batch);

  // Made while there is memory.
  const sqlite_reply no_memory_{rustic::status_code::resource_exhausted,
                                R"({"message":"the storage has no memory left for the call"})"};
  sqlite_store store_;  // used by the thread alone, but for interrupt_waits

  std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  std::deque<job> queue_;
  std::size_t queued_bytes_ = 0;
  std::vector<ticket> reading_;    // reads that the thread has in hand
  std::vector<ticket> cancelled_;  // those among them that shall not go on
  ticket last_ticket_ = 0;
  bool stopping_ = false;
  std::thread thread_;
};
}  // namespace rustic::storage
