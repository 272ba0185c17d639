#include <algorithm>
#include <rustic/worker_pool.hpp>

namespace rustic {

worker_pool::worker_pool(std::size_t parallel)
    : parallel_(std::clamp<std::size_t>(parallel, 1, threads_max)) {}

worker_pool::~worker_pool() {
  stop();
}

bool worker_pool::submit(std::function<void()> job) {
  std::scoped_lock lock(mutex_);
  if (stopping_ || queue_.size() >= queued_jobs_max) return false;
  queue_.push_back(std::move(job));
  try {
    grow_locked();
  } catch (...) {  // no thread to be had: the job was not taken
    queue_.pop_back();
    throw;
  }
  wake_.notify_one();
  return true;
}

// A thread for the queue's next job, when none is idle and the bound allows another.
void worker_pool::grow_locked() {
  if (queue_.size() > idle_ && threads_.size() < parallel_ + paused_ &&
      threads_.size() < threads_max && !stopping_) {
    threads_.emplace_back([this] { work(); });
    ++idle_;  // until it has taken its first job
  }
}

void worker_pool::work() {
  std::unique_lock lock(mutex_);
  for (bool first = true;; first = false) {
    if (!first) ++idle_;
    wake_.wait(
        lock, [&] { return stopping_ ? true : !queue_.empty() && running_ < parallel_ + paused_; });
    --idle_;
    if (queue_.empty()) return;
    auto job = std::move(queue_.front());
    queue_.pop_front();
    ++running_;
    lock.unlock();
    job();
    job = nullptr;
    lock.lock();
    --running_;
    if (!queue_.empty()) wake_.notify_one();
  }
}

void worker_pool::stop() {
  std::vector<std::thread> threads;
  {
    std::scoped_lock lock(mutex_);
    stopping_ = true;
    threads.swap(threads_);
    wake_.notify_all();
  }
  for (auto& thread : threads) thread.join();
}

worker_pool::pause::pause(worker_pool* pool) noexcept : pool_(pool) {
  if (!pool_) return;
  std::scoped_lock lock(pool_->mutex_);
  ++pool_->paused_;
  try {
    pool_->grow_locked();
  } catch (...) {  // no thread to be had: the queue waits for this worker
  }
  pool_->wake_.notify_one();
}

worker_pool::pause::~pause() {
  if (!pool_) return;
  std::scoped_lock lock(pool_->mutex_);
  --pool_->paused_;
}
}  // namespace rustic
