// Files known to sessions, least recently used out.
#include "seen_files.hpp"

namespace rustic::files {
namespace {

std::string key_of(std::string_view session, std::string_view path) {
  std::string key(session);
  key += '\0';
  key += path;
  return key;
}

}  // namespace

std::optional<seen_file> seen_files::find(std::string_view session, std::string_view path) const {
  const std::lock_guard lock(mutex_);
  const auto at = index_.find(key_of(session, path));
  if (at == index_.end()) return std::nullopt;
  entries_.splice(entries_.begin(), entries_, at->second);
  return at->second->second;
}

void seen_files::put(std::string_view session, std::string_view path, const seen_file& seen) {
  const std::lock_guard lock(mutex_);
  std::string key = key_of(session, path);
  if (const auto at = index_.find(key); at != index_.end()) {
    at->second->second = seen;
    entries_.splice(entries_.begin(), entries_, at->second);
    return;
  }
  entries_.emplace_front(key, seen);
  index_.emplace(std::move(key), entries_.begin());
  while (entries_.size() > files_max_) {
    index_.erase(entries_.back().first);
    entries_.pop_back();
  }
}

std::size_t seen_files::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace rustic::files
