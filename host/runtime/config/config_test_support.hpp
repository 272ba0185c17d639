// For the tests: a home directory that goes away.
#pragma once
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "host/runtime/config/configuration.hpp"

namespace rustic::config {
class test_place {
 public:
  test_place() {
    std::string name = (std::filesystem::temp_directory_path() / "rustic-config-XXXXXX").string();
    home_ = mkdtemp(name.data());
  }
  ~test_place() {
    std::error_code ignored;
    std::filesystem::remove_all(home_, ignored);
  }
  test_place(const test_place&) = delete;
  test_place& operator=(const test_place&) = delete;

  const std::filesystem::path& home() const { return home_; }
  std::filesystem::path make(const std::string& directory) const {
    std::filesystem::create_directories(home_ / directory);
    return home_ / directory;
  }
  std::filesystem::path write(const std::string& file, std::string_view text) const {
    return put(file, text, std::ios::trunc);
  }
  std::filesystem::path append(const std::string& file, std::string_view text) const {
    return put(file, text, std::ios::app);
  }
  std::string read(const std::filesystem::path& file) const {
    std::ifstream stream(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  surroundings around() const { return {{}, home_, home_}; }
  load_request request() const { return {around(), {}, {}, false}; }

 private:
  std::filesystem::path put(const std::string& file, std::string_view text,
                            std::ios::openmode mode) const {
    std::filesystem::create_directories((home_ / file).parent_path());
    std::ofstream stream(home_ / file, std::ios::binary | mode);
    stream.write(text.data(), static_cast<std::streamsize>(text.size()));
    return home_ / file;
  }
  std::filesystem::path home_;
};
}  // namespace rustic::config
