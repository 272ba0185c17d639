#include "connection_pool.hpp"

#include "limits.hpp"

namespace rustic::http {

bool connection_pool::acquire(const std::string& key, const void* who,
                              std::function<void()> granted) {
  places& p = places_[key];
  if (p.in_use < in_use_max_) {
    ++p.in_use;
    return true;
  }
  p.queue.push_back({who, std::move(granted)});
  return false;
}

void connection_pool::withdraw(const std::string& key, const void* who) {
  if (const auto found = places_.find(key); found != places_.end()) {
    found->second.queue.remove_if([who](const waiting& w) { return w.who == who; });
  }
}

void connection_pool::release(const std::string& key) {
  const auto found = places_.find(key);
  if (found == places_.end()) return;
  places& p = found->second;
  if (!p.queue.empty()) {
    auto granted = std::move(p.queue.front().granted);
    p.queue.pop_front();
    granted();
  } else if (--p.in_use == 0) {
    places_.erase(found);
  }
}

void connection_pool::drop_old() {
  const auto oldest = std::chrono::steady_clock::now() - limits::idle_connection_age_max;
  while (!idle_.empty() && idle_.back()->idle_since < oldest) idle_.pop_back();
}

std::unique_ptr<connection> connection_pool::take(const std::string& key) {
  drop_old();
  for (auto at = idle_.begin(); at != idle_.end();) {
    if ((*at)->key() != key) {
      ++at;
      continue;
    }
    auto candidate = std::move(*at);
    at = idle_.erase(at);
    if (candidate->quiet()) {
      candidate->reused = true;
      return candidate;
    }
  }
  return nullptr;
}

void connection_pool::give_back(std::unique_ptr<connection> connection) {
  connection->idle_since = std::chrono::steady_clock::now();
  const std::string key = connection->key();
  idle_.push_front(std::move(connection));
  drop_old();
  std::size_t same = 0;
  for (auto at = idle_.begin(); at != idle_.end();) {
    if ((*at)->key() == key && ++same > limits::idle_connections_per_origin_max) {
      at = idle_.erase(at);
    } else {
      ++at;
    }
  }
  if (idle_.size() > limits::idle_connections_max) idle_.pop_back();
}

}  // namespace rustic::http
