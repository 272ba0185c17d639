// log_map.cpp - the file: a line that says what it is, then records:
// length of the payload (4 bytes), its checksum (8), a checksum of these two (4), payload. A
// payload is a row of entries: '+' length of the key, length of the value, key, value; or '-'
// length of the key, key. Numbers are little endian, lengths have 4 bytes.
#include "log_map.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <new>
#include <rustic/status.hpp>
#include <set>
#include <utility>

namespace file_store_plugin {
namespace {
using rustic::failure;
using rustic::status_code;
namespace fs = std::filesystem;

constexpr std::string_view first_line = "rustic-ai file-store 1\n";
constexpr std::size_t head_bytes = 16;

[[noreturn]] void cannot(const char* what, const std::string& path, int problem) {
  const bool full = problem == ENOSPC || problem == EDQUOT || problem == EFBIG;
  throw failure(full ? status_code::resource_exhausted : status_code::unavailable,
                "file-store: " + std::string(what) + " " + path + ": " + std::strerror(problem),
                full ? "free disk space and try again"
                     : "set the storage's connection_string to a file in a folder that this user "
                       "can write to");
}

template <class Number>
void append_number(std::string& out, Number value) {
  for (std::size_t i = 0; i < sizeof value; ++i, value = static_cast<Number>(value >> 8))
    out += static_cast<char>(value & 0xff);
}
template <class Number>
Number read_number(std::string_view bytes) {
  Number out = 0;
  for (std::size_t i = sizeof out; i-- > 0;)
    out = static_cast<Number>(out << 8 | static_cast<unsigned char>(bytes[i]));
  return out;
}

// FNV-1a: notices what a crash leaves behind. Nobody is kept from writing a false one.
std::uint64_t checksum(std::string_view bytes) {
  std::uint64_t sum = 0xcbf29ce484222325;
  for (const char c : bytes) sum = (sum ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return sum;
}

void append_entry(std::string& out, std::string_view key, const std::string* value) {
  out += value ? '+' : '-';
  append_number(out, static_cast<std::uint32_t>(key.size()));
  if (value) append_number(out, static_cast<std::uint32_t>(value->size()));
  out += key;
  if (value) out += *value;
}

// Room for the head in front, filled in at the end.
std::string new_record() {
  return std::string(head_bytes, '\0');
}
void close_record(std::string& record) {
  const auto payload = std::string_view(record).substr(head_bytes);
  std::string head;
  append_number(head, static_cast<std::uint32_t>(payload.size()));
  append_number(head, checksum(payload));
  append_number(head, static_cast<std::uint32_t>(checksum(head)));
  record.replace(0, head_bytes, head);
}

// All of it, or false and errno.
bool write_all(int descriptor, std::string_view bytes, std::int64_t at) {
  while (!bytes.empty()) {
    const auto done = ::pwrite(descriptor, bytes.data(), bytes.size(), at);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(done));
    at += done;
  }
  return true;
}
// What there is, up to that many.
std::string read_at(int descriptor, std::int64_t at, std::size_t bytes, const std::string& path) {
  std::string out(bytes, '\0');
  std::size_t got = 0;
  while (got < bytes) {
    const auto done =
        ::pread(descriptor, out.data() + got, bytes - got, at + static_cast<std::int64_t>(got));
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) cannot("reading", path, errno);
    if (done == 0) break;
    got += static_cast<std::size_t>(done);
  }
  out.resize(got);
  return out;
}

// How far a record at `at` is good, and where it ends.
struct record_head {
  bool good = false;
  std::uint64_t sum = 0;
  std::size_t length = 0;
};
record_head read_head(std::string_view bytes) {
  if (bytes.size() < head_bytes || read_number<std::uint32_t>(bytes.substr(12)) !=
                                       static_cast<std::uint32_t>(checksum(bytes.substr(0, 12))))
    return {};
  return {true, read_number<std::uint64_t>(bytes.substr(4)), read_number<std::uint32_t>(bytes)};
}

// A name is durable when its folder is.
bool sync_folder_of(const std::string& path) {
  const int folder =
      ::open(fs::path(path).parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return false;
  const bool done = ::fsync(folder) == 0;
  const int problem = errno;
  ::close(folder);
  errno = problem;
  return done;
}

bool names_this_file(const std::string& path, int descriptor) {
  struct stat named {
  }, ours{};
  return ::stat(path.c_str(), &named) == 0 && ::fstat(descriptor, &ours) == 0 &&
         named.st_ino == ours.st_ino && named.st_dev == ours.st_dev;
}

std::int64_t size_of(std::string_view key, std::string_view value) {
  return entry_bytes + static_cast<std::int64_t>(key.size() + value.size());
}
}  // namespace

log_map::log_map(std::string path, std::int64_t live_bytes_max)
    : path_(std::move(path)), live_bytes_max_(live_bytes_max) {}

log_map::~log_map() {
  close_file();
  if (lock_descriptor_ >= 0) ::close(lock_descriptor_);
}

void log_map::prepare() const {
  const auto folder = fs::path(path_).parent_path();
  std::error_code problem;
  fs::path missing = folder;
  std::vector<fs::path> to_make;
  for (; !missing.empty() && !fs::exists(missing, problem); missing = missing.parent_path())
    to_make.push_back(missing);
  for (; !to_make.empty(); to_make.pop_back())
    if (::mkdir(to_make.back().c_str(), 0700) != 0 && errno != EEXIST)
      cannot("making the folder", to_make.back(), errno);
  if (::access(folder.c_str(), W_OK | X_OK) != 0) cannot("writing into", folder, errno);
}

// --- One at a time, among all processes ---

void log_map::lock() {
  const auto file = path_ + ".lock";
  const auto until = std::chrono::steady_clock::now() + lock_wait_max;
  for (;;) {
    // Somebody may have removed it: a lock on a file without a name excludes nobody.
    if (lock_descriptor_ >= 0 && !names_this_file(file, lock_descriptor_)) {
      ::close(lock_descriptor_);
      lock_descriptor_ = -1;
    }
    if (lock_descriptor_ < 0)
      lock_descriptor_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock_descriptor_ < 0) cannot("opening", file, errno);
    if (::flock(lock_descriptor_, LOCK_EX | LOCK_NB) == 0) {
      if (names_this_file(file, lock_descriptor_)) return;
    } else if (errno != EWOULDBLOCK && errno != EINTR) {
      cannot("locking", file, errno);
    }
    if (stopping_ || std::chrono::steady_clock::now() > until)
      throw failure(status_code::unavailable,
                    "file-store: another process keeps " + file + " locked",
                    "try again; this shows who it is: fuser -v '" + file + "'");
    ::poll(nullptr, 0, static_cast<int>(lock_nap.count()));
  }
}

void log_map::unlock() noexcept {
  ::flock(lock_descriptor_, LOCK_UN);
}

log_map::transaction::transaction(log_map& owner) : owner_(owner) {
  owner.lock();
  try {
    owner.open_file();
    owner.read_new_records();
  } catch (...) {
    owner.unlock();
    throw;
  }
}

log_map::transaction::~transaction() {
  owner_.roll_back();
  owner_.unlock();
}

void log_map::transaction::commit() {
  if (owner_.changes_.empty()) return;
  owner_.append(owner_.record_of_changes());
  owner_.changes_.clear();
  if (owner_.end_ > 2 * owner_.live_bytes_ + outdated_bytes_kept &&
      owner_.end_ > owner_.rewrite_again_at_)
    owner_.rewrite();
}

// --- In memory ---

const std::string* log_map::find(std::string_view key) const {
  const auto found = entries_.find(key);
  return found == entries_.end() ? nullptr : &found->second;
}

void log_map::put(std::string_view key, std::string value) {
  const auto found = entries_.find(key);
  const auto before = found == entries_.end() ? 0 : size_of(key, found->second);
  const auto more = size_of(key, value) - before;
  if (more > live_bytes_max_ - live_bytes_)
    throw failure(status_code::resource_exhausted,
                  "file-store: " + path_ + " is full: " + std::to_string(live_bytes_) + " of " +
                      std::to_string(live_bytes_max_) + " bytes are in use and " +
                      std::to_string(more) + " more are wanted",
                  "delete sessions, or raise max_bytes");
  auto& step = changes_.emplace_back();
  if (found != entries_.end()) {
    step.old_value = std::exchange(found->second, std::move(value));
    step.entry = &*found;
  } else {
    try {
      step.entry = &*entries_.emplace(std::string(key), std::move(value)).first;
    } catch (...) {
      changes_.pop_back();
      throw;
    }
    step.is_new = true;
  }
  live_bytes_ += more;
}

void log_map::erase(std::string_view key) {
  const auto found = entries_.find(key);
  if (found == entries_.end()) return;
  auto& step = changes_.emplace_back();
  live_bytes_ -= size_of(key, found->second);
  step.removed = entries_.extract(found);
}

std::int64_t log_map::erase_prefix(std::string_view prefix) {
  std::int64_t count = 0;
  for (auto at = entries_.lower_bound(prefix);
       at != entries_.end() && std::string_view(at->first).substr(0, prefix.size()) == prefix;
       ++count)
    erase((at++)->first);
  return count;
}

void log_map::roll_back() noexcept {
  for (; !changes_.empty(); changes_.pop_back()) {
    auto& step = changes_.back();
    if (!step.entry) {
      live_bytes_ += size_of(step.removed.key(), step.removed.mapped());
      entries_.insert(std::move(step.removed));
      continue;
    }
    live_bytes_ -= size_of(step.entry->first, step.entry->second);
    if (step.is_new) {
      entries_.erase(entries_.find(step.entry->first));
    } else {
      step.entry->second = std::move(step.old_value);
      live_bytes_ += size_of(step.entry->first, step.entry->second);
    }
  }
}

std::string log_map::record_of_changes() const {
  std::set<std::string_view> keys;
  std::size_t bytes = 0;
  for (const auto& step : changes_) {
    if (!keys.insert(step.key()).second) continue;
    const auto* value = find(step.key());
    bytes += 9 + step.key().size() + (value ? value->size() : 0);
  }
  if (bytes > record_bytes_max)
    throw failure(status_code::resource_exhausted,
                  "file-store: the change has " + std::to_string(bytes) + " bytes, at most " +
                      std::to_string(record_bytes_max) + " are taken at once",
                  "make it in smaller steps");
  auto record = new_record();
  record.reserve(head_bytes + bytes);
  for (const auto key : keys) append_entry(record, key, find(key));
  close_record(record);
  return record;
}

// --- The file ---

void log_map::close_file() noexcept {
  if (descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = -1;
  end_ = 0;
  rewrite_again_at_ = 0;
  live_bytes_ = 0;
  entries_.clear();
}

void log_map::open_file() {
  // Another process may have put a shorter one in its place.
  if (descriptor_ >= 0 && !names_this_file(path_, descriptor_)) close_file();
  if (descriptor_ < 0) descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor_ < 0) cannot("opening", path_, errno);
}

// Reads the first line, or writes it into a file that has nothing yet.
void log_map::begin_file(std::int64_t size) {
  const auto line = read_at(descriptor_, 0, first_line.size(), path_);
  if (line != first_line) {
    // A crash may have left a part of the line, or a size without content.
    const bool unfinished =
        size <= static_cast<std::int64_t>(first_line.size()) &&
        (first_line.starts_with(line) || line.find_first_not_of('\0') == std::string::npos);
    if (!unfinished)
      throw failure(status_code::failed_precondition,
                    "file-store: " + path_ + " was written by another program",
                    "set the storage's connection_string to another path; this file is untouched");
    if (!write_all(descriptor_, first_line, 0) || ::fdatasync(descriptor_) != 0 ||
        !sync_folder_of(path_)) {
      const int problem = errno;
      close_file();
      cannot("writing", path_, problem);
    }
  }
  end_ = static_cast<std::int64_t>(first_line.size());
}

void log_map::read_new_records() {
  struct stat found {};
  if (::fstat(descriptor_, &found) != 0) cannot("looking at", path_, errno);
  if (found.st_size < end_) {  // never our doing: all of it again
    close_file();
    open_file();
  }
  if (end_ == 0) begin_file(found.st_size);
  if (::fstat(descriptor_, &found) != 0) cannot("looking at", path_, errno);
  while (end_ < found.st_size) {
    const auto head_text = read_at(descriptor_, end_, head_bytes, path_);
    const auto head = read_head(head_text);
    const auto begin = end_ + static_cast<std::int64_t>(head_bytes);
    const auto after = begin + static_cast<std::int64_t>(head.length);
    std::string payload;
    if (head.good && after <= found.st_size)
      payload = read_at(descriptor_, begin, head.length, path_);
    if (head.good && payload.size() == head.length && checksum(payload) == head.sum) {
      apply_record(payload);
      end_ = after;
      continue;
    }
    // Complete records follow each other; what a crash cut short can only be the last one.
    const bool cut_short = head.good ? after >= found.st_size
                                     : head_text.size() < head_bytes || only_zeros(found.st_size);
    if (!cut_short)
      throw failure(status_code::data_loss,
                    "file-store: " + path_ + " is damaged at byte " + std::to_string(end_),
                    "what stands before is good: keep a copy, then cut the file there with: "
                    "truncate -s " +
                        std::to_string(end_) + " '" + path_ + "'");
    if (::ftruncate(descriptor_, end_) != 0) cannot("repairing", path_, errno);
    return;
  }
}

// A size that reached the disk before the content.
bool log_map::only_zeros(std::int64_t until) const {
  for (auto at = end_; at < until;) {
    const auto part = read_at(descriptor_, at, rewrite_step_bytes, path_);
    if (part.empty()) return true;
    if (part.find_first_not_of('\0') != std::string::npos) return false;
    at += static_cast<std::int64_t>(part.size());
  }
  return true;
}

// Only what a checksum has vouched for. The record counts as a whole or, when memory runs out in
// the middle, is read again.
void log_map::apply_record(std::string_view payload) {
  try {
    while (payload.size() >= 5) {
      const bool sets = payload[0] == '+';
      const auto key_bytes = read_number<std::uint32_t>(payload.substr(1));
      if (sets && payload.size() < 9) break;
      const auto value_bytes = sets ? read_number<std::uint32_t>(payload.substr(5)) : 0;
      payload.remove_prefix(sets ? 9 : 5);
      if (payload.size() < std::size_t{key_bytes} + value_bytes) break;
      const auto key = payload.substr(0, key_bytes);
      const auto found = entries_.find(key);
      if (found != entries_.end()) {
        live_bytes_ -= size_of(key, found->second);
        entries_.erase(found);
      }
      if (sets) {
        const auto value = payload.substr(key_bytes, value_bytes);
        entries_.emplace(std::string(key), std::string(value));
        live_bytes_ += size_of(key, value);
      }
      payload.remove_prefix(std::size_t{key_bytes} + value_bytes);
    }
  } catch (...) {
    close_file();
    throw;
  }
}

void log_map::append(const std::string& record) {
  if (write_all(descriptor_, record, end_) && ::fdatasync(descriptor_) == 0) {
    end_ += static_cast<std::int64_t>(record.size());
    return;
  }
  const int problem = errno;
  // What is on the disk now nobody knows: cut, and read anew by the next call.
  const bool cut = ::ftruncate(descriptor_, end_) == 0;
  roll_back();
  close_file();
  if (!cut)
    throw failure(status_code::data_loss,
                  "file-store: writing " + path_ + ": " + std::strerror(problem) +
                      ", and the half of it could not be taken back",
                  "look at the disk; the change may or may not be there");
  cannot("writing", path_, problem);
}

// What counts goes into a new file that takes the name. When that fails, the old one goes on.
void log_map::rewrite() {
  rewrite_again_at_ = 2 * end_;
  const auto file = path_ + ".new";
  const int made = ::open(file.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (made < 0) return;
  std::int64_t at = 0;
  const auto write = [&](std::string_view bytes) {
    const bool done = write_all(made, bytes, at);
    at += static_cast<std::int64_t>(bytes.size());
    return done;
  };
  bool good = false;
  try {
    good = write(first_line);
    auto record = new_record();
    const auto flush = [&] {
      if (record.size() == head_bytes) return true;
      close_record(record);
      const bool done = write(record);
      record = new_record();
      return done;
    };
    for (auto entry = entries_.begin(); good && entry != entries_.end(); ++entry) {
      append_entry(record, entry->first, &entry->second);
      if (record.size() > rewrite_step_bytes) good = flush();
    }
    good = good && flush() && ::fsync(made) == 0 && ::rename(file.c_str(), path_.c_str()) == 0;
  } catch (const std::bad_alloc&) {
  }
  if (!good) {
    ::close(made);
    ::unlink(file.c_str());
    return;
  }
  sync_folder_of(path_);
  ::close(descriptor_);
  descriptor_ = made;
  end_ = at;
  rewrite_again_at_ = 0;
}
}  // namespace file_store_plugin
