// group_committer.cpp - the loop: reads of a batch first, its writes in one commit, then
// housekeeping.
#include "group_committer.hpp"

#include <pthread.h>

#include <algorithm>
#include <new>
#include <span>
#include <utility>

namespace rustic::storage {
namespace {
sqlite_reply refusal(status_code code, std::string message, std::string hint = {}) {
  return {code, error_body({code, std::move(message), std::move(hint), std::nullopt, {}})};
}
sqlite_reply cancelled_reply() {
  return refusal(status_code::cancelled,
                 "the storage call was cancelled before it was done; nothing was changed");
}
bool holds(const std::vector<std::uint64_t>& list, std::uint64_t number) {
  return std::find(list.begin(), list.end(), number) != list.end();
}
}  // namespace

group_committer::ticket group_committer::new_ticket() {
  const std::lock_guard lock(mutex_);
  return ++last_ticket_;
}

void group_committer::submit(ticket call, std::string_view method, std::string_view body,
                             completion done) {
  job one{call, std::string(method), std::string(body), {}, is_write(method), {}};
  sqlite_reply refused;
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) {
      refused = refusal(status_code::unavailable, "the storage is being stopped");
    } else if (queue_.size() >= queued_calls_max ||
               (!queue_.empty() && queued_bytes_ + one.body.size() > queued_bytes_max)) {
      refused = refusal(status_code::resource_exhausted,
                        std::to_string(queue_.size()) + " storage calls wait already",
                        "the disk does not keep up; try again later");
    } else {
      if (!thread_.joinable()) {
        thread_ = std::thread([this] { work(); });
        ::pthread_setname_np(thread_.native_handle(), "rustic-sqlite");
      }
      queued_bytes_ += one.body.size();
      one.done = std::move(done);
      queue_.push_back(std::move(one));
      wake_.notify_one();
      return;
    }
  }
  done(refused);
}

void group_committer::cancel(ticket call) {
  completion done;
  {
    const std::lock_guard lock(mutex_);
    const auto found = std::find_if(queue_.begin(), queue_.end(),
                                    [&](const job& one) { return one.number == call; });
    if (found != queue_.end()) {
      done = std::move(found->done);
      queued_bytes_ -= found->body.size();
      queue_.erase(found);
    } else if (holds(reading_, call) && !holds(cancelled_, call)) {
      cancelled_.push_back(call);
    }
  }
  if (done) done(cancelled_reply());
}

void group_committer::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    wake_.notify_one();
  }
  store_.interrupt_waits();
  if (thread_.joinable()) thread_.join();
}

// Takes nothing when there is no memory for it.
std::vector<group_committer::job> group_committer::take_batch() {
  std::vector<job> batch;
  const auto most = std::min(queue_.size(), group_calls_max);
  batch.reserve(most);
  reading_.reserve(reading_.size() + most);
  std::size_t bytes = 0;
  while (!queue_.empty() && batch.size() < group_calls_max &&
         (batch.empty() || bytes + queue_.front().body.size() <= group_bytes_max)) {
    bytes += queue_.front().body.size();
    if (!queue_.front().writes) reading_.push_back(queue_.front().number);
    batch.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  queued_bytes_ -= bytes;
  return batch;
}

void group_committer::work() {
  for (;;) {
    std::vector<job> batch;
    job refused;
    {
      std::unique_lock lock(mutex_);
      if (!store_.wants_maintenance())
        wake_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
      if (queue_.empty() && stopping_) break;
      try {
        batch = take_batch();
      } catch (const std::bad_alloc&) {
        refused = std::move(queue_.front());
        queue_.pop_front();
        queued_bytes_ -= refused.body.size();
      }
    }
    if (refused.done) refused.done(no_memory_);
    try {
      run_reads(batch);
      run_writes(batch);
      // One step at a time, so that a caller never waits for more than one.
      store_.maintain();
    } catch (const std::bad_alloc&) {
      for (auto& one : batch) finish(one, no_memory_);
    }
  }
  store_.close();
}

void group_committer::finish(job& one, const sqlite_reply& reply) {
  if (const auto done = std::exchange(one.done, nullptr)) done(reply);
}

void group_committer::run_reads(std::vector<job>& batch) {
  std::vector<job> unfinished;
  unfinished.reserve(batch.size());
  for (auto& one : batch) {
    if (one.writes) continue;
    bool given_up = false;
    {
      const std::lock_guard lock(mutex_);
      given_up = holds(cancelled_, one.number);
    }
    auto reply = given_up ? std::optional(cancelled_reply())
                          : store_.execute_read({one.method, one.body}, one.progress);
    if (!reply) {
      unfinished.push_back(std::move(one));
      continue;
    }
    {
      const std::lock_guard lock(mutex_);
      std::erase(reading_, one.number);
      std::erase(cancelled_, one.number);
    }
    finish(one, *reply);
  }
  for (auto& one : unfinished) {
    std::unique_lock lock(mutex_);
    std::erase(reading_, one.number);
    if (std::erase(cancelled_, one.number) > 0 || stopping_) {
      lock.unlock();
      finish(one, cancelled_reply());
      continue;
    }
    try {  // behind those who came meanwhile
      queue_.emplace_back();
      queued_bytes_ += one.body.size();
      queue_.back() = std::move(one);
    } catch (const std::bad_alloc&) {
      lock.unlock();
      finish(one, no_memory_);
    }
  }
}

void group_committer::run_writes(std::vector<job>& batch) {
  std::erase_if(batch, [](const job& one) { return !one.writes; });
  if (batch.empty()) return;
  std::vector<sqlite_call> calls;
  calls.reserve(batch.size());
  for (const auto& one : batch) calls.push_back({one.method, one.body});
  const auto replies = store_.execute_group(calls);
  for (std::size_t i = 0; i < batch.size(); ++i) finish(batch[i], replies[i]);
}
}  // namespace rustic::storage
