#include "bus_handlers.hpp"

#include <exception>

namespace rustic::cell {
namespace {

constexpr std::size_t pattern_bytes_max = 256;

// "a.b", "a.*", "a/*", "*": the same that the kernel takes.
bool valid_pattern(std::string_view pattern) noexcept {
  if (pattern.empty() || pattern.size() > pattern_bytes_max) return false;
  const auto star = pattern.find('*');
  if (star == std::string_view::npos || pattern == "*") return true;
  if (star + 1 != pattern.size() || star < 2) return false;
  return pattern[star - 1] == '/' || pattern[star - 1] == '.';
}

}  // namespace

std::uint64_t bus_handlers::subscribe(rai_str pattern, rai_handler handler, void* self) {
  if (!valid_pattern(view(pattern)) || handler == nullptr) return 0;
  std::uint64_t id = 0;
  {
    const std::lock_guard lock(mutex_);
    if (subscriptions_.size() >= subscriptions_max) return 0;
    try {
      if (!thread_.joinable()) thread_ = std::thread([this] { work(); });
    } catch (const std::exception&) {
      return 0;
    }
    id = ++last_;
    subscriptions_.emplace(id, subscription{handler, self});
  }
  out_.post(true, [&](std::string& out) {
    frame_writer(out, frame_type::subscribe, id).text(view(pattern)).end();
  });
  return id;
}

void bus_handlers::unsubscribe(std::uint64_t id) {
  {
    std::unique_lock lock(mutex_);
    if (subscriptions_.erase(id) == 0) return;
    if (std::this_thread::get_id() != thread_.get_id())
      changed_.wait(lock, [&] { return running_ != id; });
  }
  out_.post(true, [&](std::string& out) { frame_writer(out, frame_type::unsubscribe, id).end(); });
}

bool bus_handlers::on_published(const frame& in) {
  frame_reader reader(in.payload);
  const auto topic = reader.text();
  const auto body = reader.text();
  if (!reader.whole()) return false;
  std::uint64_t dropped = 0;
  {
    const std::lock_guard lock(mutex_);
    const std::size_t bytes = topic.size() + body.size();
    if (events_.size() >= bus_queue_events_max ||
        (bytes_ + bytes > bus_queue_bytes_max && !events_.empty())) {
      dropped = ++dropped_;
    } else {
      bytes_ += bytes;
      events_.push_back({in.id, std::string(topic), std::string(body)});
      changed_.notify_all();
    }
  }
  if (dropped != 0 && (dropped & (dropped - 1)) == 0) {  // the 1st, 2nd, 4th, 8th, ...
    out_.post(false, [&](std::string& out) {
      frame_writer(out, frame_type::log)
          .i32(RAI_LOG_WARN)
          .text("its handlers are too slow: " + std::to_string(dropped) + " events were dropped")
          .end();
    });
  }
  return true;
}

void bus_handlers::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return !events_.empty(); });
    const event next = std::move(events_.front());
    events_.pop_front();
    bytes_ -= next.topic.size() + next.body.size();
    const auto found = subscriptions_.find(next.subscription);
    if (found == subscriptions_.end()) continue;
    const subscription to = found->second;
    running_ = next.subscription;
    lock.unlock();
    try {
      to.handler(to.self, str(next.topic), str(next.body));
    } catch (...) {  // the plugin's own affair
    }
    lock.lock();
    running_ = 0;
    changed_.notify_all();
  }
}

}  // namespace rustic::cell
