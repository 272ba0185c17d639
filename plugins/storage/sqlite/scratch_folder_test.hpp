// scratch_folder_test.hpp - for the tests of this folder: a directory that goes away, and waiting
// for a call.
#pragma once
#include <stdlib.h>

#include <filesystem>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "group_committer.hpp"

namespace rustic::storage {

// An empty directory for one test, removed with everything in it.
class scratch_folder {
 public:
  scratch_folder() {
    auto pattern = (std::filesystem::temp_directory_path() / "rustic-storage-XXXXXX").string();
    if (!::mkdtemp(pattern.data())) throw std::runtime_error("mkdtemp failed");
    folder_ = pattern;
  }
  ~scratch_folder() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  scratch_folder(const scratch_folder&) = delete;
  scratch_folder& operator=(const scratch_folder&) = delete;
  std::string path(std::string_view name) const { return (folder_ / name).string(); }

 private:
  std::filesystem::path folder_;
};

inline std::pair<status_code, std::string> call_and_wait(group_committer& committer,
                                                         std::string_view method,
                                                         std::string_view request) {
  // Shared: the committer's thread may still be inside set_value when the result is taken.
  auto result = std::make_shared<std::promise<std::pair<status_code, std::string>>>();
  committer.submit(committer.new_ticket(), method, request, [result](const sqlite_reply& reply) {
    result->set_value({reply.status, reply.body});
  });
  return result->get_future().get();
}
}  // namespace rustic::storage
