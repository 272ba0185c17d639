#include "spill_directory.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <vector>

namespace rustic::shell {
namespace {
namespace fs = std::filesystem;

constexpr std::string_view prefix = "shell-";

std::string name_of(const std::string& path) {
  return fs::path(path).filename().string();
}

struct found_file {
  fs::path path;
  std::int64_t changed_ns;
  std::uint64_t bytes;
};

}  // namespace

std::unique_ptr<spill_file> spill_directory::create(std::string& problem) {
  if (settings_.directory.empty()) {
    problem = "no spill_dir is configured";
    return nullptr;
  }
  std::error_code error;
  if (fs::create_directories(settings_.directory, error)) {
    fs::permissions(settings_.directory, fs::perms::owner_all, error);
  }
  const auto unix_ms = std::chrono::duration_cast<std::chrono::milliseconds>(
                           std::chrono::system_clock::now().time_since_epoch())
                           .count();
  std::string name = std::string(prefix) + std::to_string(unix_ms) + "-" +
                     std::to_string(::getpid()) + "-" + std::to_string(++next_) + ".txt";
  std::string path = settings_.directory + "/" + name;
  descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file) {
    problem = "creating " + path + " failed: " + std::strerror(errno);
    return nullptr;
  }
  open_names_.insert(std::move(name));
  return std::make_unique<spill_file>(*this, std::move(path), std::move(file));
}

bool spill_directory::make_room(std::uint64_t bytes) {
  std::vector<found_file> files;
  std::uint64_t total = 0;
  std::error_code error;
  for (fs::directory_iterator at(settings_.directory, error), end; !error && at != end;
       at.increment(error)) {
    const std::string name = at->path().filename().string();
    struct stat status {};
    if (!name.starts_with(prefix) || ::lstat(at->path().c_str(), &status) != 0) continue;
    if (!S_ISREG(status.st_mode)) continue;
    const auto size = static_cast<std::uint64_t>(status.st_size);
    total += size;
    if (open_names_.contains(name)) continue;
    files.push_back(
        {at->path(), status.st_mtim.tv_sec * 1'000'000'000LL + status.st_mtim.tv_nsec, size});
  }
  std::sort(files.begin(), files.end(),
            [](const found_file& a, const found_file& b) { return a.changed_ns < b.changed_ns; });
  std::size_t left = files.size() + open_names_.size();
  for (const found_file& file : files) {
    if (total + bytes <= settings_.directory_bytes_max && left <= spill_files_max) break;
    if (!fs::remove(file.path, error)) continue;
    total -= file.bytes;
    --left;
  }
  return total + bytes <= settings_.directory_bytes_max;
}

spill_file::~spill_file() {
  directory_.open_names_.erase(name_of(path_));
}

void spill_file::append(std::string_view bytes) {
  while (!bytes.empty() && problem_.empty()) {
    if (bytes_ == granted_bytes_) {
      const std::uint64_t left = directory_.settings_.file_bytes_max - granted_bytes_;
      const std::uint64_t step = std::min<std::uint64_t>(left, spill_step_bytes);
      if (step == 0) {
        problem_ = "a file may hold " + std::to_string(bytes_) + " bytes";
        return;
      }
      if (!directory_.make_room(step)) {
        problem_ = directory_.settings_.directory + " may hold " +
                   std::to_string(directory_.settings_.directory_bytes_max) + " bytes";
        return;
      }
      granted_bytes_ += step;
    }
    const std::size_t wanted =
        std::min<std::size_t>(bytes.size(), static_cast<std::size_t>(granted_bytes_ - bytes_));
    const ssize_t written = ::write(file_.get(), bytes.data(), wanted);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      problem_ = std::string("writing failed: ") + std::strerror(errno);
      return;
    }
    bytes_ += static_cast<std::uint64_t>(written);
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace rustic::shell
