#include "turn_queue.hpp"

#include <algorithm>
#include <charconv>
#include <memory>
#include <rustic/json.hpp>
#include <rustic/status.hpp>

#include "limits.hpp"

namespace rustic::permission {

// The service's side of one wait.
struct turn_queue::waiter {
  turn_queue* queue;
  std::uint64_t number;
  rai_call call;
};

turn_queue::ticket::ticket(turn_queue& queue, std::string_view session)
    : queue_(queue), session_(session), number_(queue.enter(session)) {}
turn_queue::ticket::~ticket() {
  queue_.leave(session_, number_);
}
bool turn_queue::ticket::first() const {
  return queue_.is_first(session_, number_);
}
std::string turn_queue::ticket::body() const {
  return json::serialize(json::object{{"ticket", std::to_string(number_)}});
}

std::uint64_t turn_queue::enter(std::string_view session) {
  std::unique_lock lock(mutex_);
  if (count_ >= max_waiting_questions)
    throw failure(status_code::resource_exhausted, "too many calls wait for a permission",
                  "answer the open questions");
  auto found = lines_.find(session);
  if (found == lines_.end())
    found = lines_.emplace(std::string(session), std::deque<place>{}).first;
  found->second.push_back({next_number_, 0});
  // leave() must not need memory.
  ready_.reserve(ready_.size() + count_ + 1);
  ++count_;
  return next_number_++;
}

void turn_queue::leave(const std::string& session, std::uint64_t number) noexcept {
  std::unique_lock lock(mutex_);
  auto found = lines_.find(session);
  if (found == lines_.end()) return;
  std::deque<place>& line = found->second;
  const bool was_first = line.front().number == number;
  count_ -= std::erase_if(line, [&](const place& one) { return one.number == number; });
  if (line.empty()) {
    lines_.erase(found);
  } else if (was_first && line.front().waiting != 0) {
    ready_.push_back(std::exchange(line.front().waiting, 0));
  }
  finish_ready(lock);
}

bool turn_queue::is_first(const std::string& session, std::uint64_t number) const {
  std::unique_lock lock(mutex_);
  auto found = lines_.find(session);
  return found != lines_.end() && found->second.front().number == number;
}

void turn_queue::wait(std::uint64_t number, rai_call call) {
  std::unique_lock lock(mutex_);
  for (auto& [session, line] : lines_)
    for (place& one : line) {
      if (one.number != number || one.waiting != 0) continue;
      if (&one == &line.front())
        ready_.push_back(call);
      else
        one.waiting = call;
      finish_ready(lock);
      return;
    }
  lock.unlock();
  host_->finish(host_->self, call, RAI_NOT_FOUND,
                to_str(R"({"message":"there is no such ticket"})"));
}

void turn_queue::forget(std::uint64_t number, rai_call call) noexcept {
  {
    std::unique_lock lock(mutex_);
    for (auto& [session, line] : lines_)
      for (place& one : line)
        if (one.number == number && one.waiting == call) one.waiting = 0;
    std::erase(ready_, call);
  }
  host_->finish(host_->self, call, RAI_CANCELLED,
                to_str(R"({"message":"the wait for a permission was cancelled"})"));
}

// A finished wait runs its caller on this thread, who may leave and so make the next one ready: one
// loop serves them all, or each would stand on the stack of the one before.
void turn_queue::finish_ready(std::unique_lock<std::mutex>& lock) noexcept {
  if (finishing_) return;
  finishing_ = true;
  while (!ready_.empty()) {
    const rai_call call = ready_.back();
    ready_.pop_back();
    lock.unlock();
    host_->finish(host_->self, call, RAI_OK, to_str("{}"));
    lock.lock();
  }
  finishing_ = false;
}

rai_service turn_queue::service() noexcept {
  rai_service out{};
  out.struct_size = sizeof(out);
  out.self = this;
  out.call = [](void* self, const rai_request* request, rai_call call, rai_op* op) {
    auto& me = *static_cast<turn_queue*>(self);
    try {
      const json::object body = parse_object(to_view(request->body), "wait");
      const std::string_view text = text_or(body, "ticket");
      std::uint64_t number = 0;
      std::from_chars(text.data(), text.data() + text.size(), number);
      auto made = std::make_unique<waiter>(waiter{&me, number, call});
      op->struct_size = sizeof(rai_op);
      op->cancel = [](void* w) {
        auto& one = *static_cast<waiter*>(w);
        one.queue->forget(one.number, one.call);
      };
      op->resume = nullptr;
      op->release = [](void* w) { delete static_cast<waiter*>(w); };
      op->self = made.release();
      me.wait(number, call);
    } catch (...) {
      me.host_->finish(me.host_->self, call, RAI_INTERNAL,
                       to_str(R"({"message":"waiting for a permission failed"})"));
    }
  };
  return out;
}

}  // namespace rustic::permission
