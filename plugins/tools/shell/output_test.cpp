#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <fstream>
#include <rustic/json.hpp>

#include "output_collector.hpp"
#include "recording_listener.hpp"

using namespace rustic::shell;

namespace {

spill_settings spill_to(const scratch_directory& directory) {
  return {
      .directory = directory / "spill", .file_bytes_max = 4 << 20, .directory_bytes_max = 8 << 20};
}

std::uint64_t directory_bytes(const std::string& path) {
  std::uint64_t total = 0;
  for (const auto& item : std::filesystem::directory_iterator(path)) total += item.file_size();
  return total;
}

void forget_peak_memory() {
  std::ofstream("/proc/self/clear_refs") << "5";
}

long peak_memory_kib() {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("VmHWM:")) return std::atol(line.c_str() + 6);
  }
  return 0;
}

}  // namespace

TEST_CASE("short output is kept as it came") {
  spill_directory spill({});
  output_collector output(1000, spill);
  output.append("one\n");
  output.append("two\n");
  CHECK(output.text() == "one\ntwo\n");
  CHECK(!output.truncated());
  CHECK(output.spill_path().empty());
}

TEST_CASE("output of exactly the bound is whole, one byte more is not") {
  scratch_directory directory;
  spill_directory spill(spill_to(directory));
  output_collector output(1000, spill);
  const std::string text(1000, 'x');
  output.append(text);
  CHECK(output.text() == text);
  CHECK(!output.truncated());
  output.append("y");
  CHECK(output.truncated());
  CHECK(output.text().find("[1 bytes left out here; everything is in " + output.spill_path()) !=
        std::string::npos);
  CHECK(read_file(output.spill_path()) == text + "y");
}

TEST_CASE("head and tail stay, the count is right, the file holds everything, for any piece size") {
  for (const std::size_t piece : {1UL, 7UL, 333UL, 500UL, 501UL, 1000UL, 1001UL, 65536UL}) {
    CAPTURE(piece);
    scratch_directory directory;
    spill_directory spill(spill_to(directory));
    output_collector output(1000, spill);
    std::string all;
    for (int i = 0; i < 3000; ++i) all += std::to_string(i) + "\n";
    for (std::size_t at = 0; at < all.size(); at += piece) {
      output.append(std::string_view(all).substr(at, piece));
    }
    const std::string text = output.text();
    CHECK(text.substr(0, 500) == all.substr(0, 500));
    CHECK(text.substr(text.size() - 500) == all.substr(all.size() - 500));
    CHECK(text.find("[" + std::to_string(all.size() - 1000) + " bytes left out here") == 501);
    CHECK(read_file(output.spill_path()) == all);
    struct stat status {};
    REQUIRE(::stat(output.spill_path().c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0600);
    REQUIRE(::stat((directory / "spill").c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0700);
  }
}

TEST_CASE("the cut never makes half a character, at any offset") {
  spill_directory spill({});
  for (std::size_t offset = 0; offset < 8; ++offset) {
    for (const char* character : {"\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\xA6\x80"}) {
      output_collector output(100, spill);
      output.append(std::string(offset, 'a'));
      for (int i = 0; i < 100; ++i) output.append(character);
      const std::string text = output.text();
      CHECK(rustic::is_utf8(text));
      CHECK(text.find("\xEF\xBF\xBD") == std::string::npos);
      CHECK(text.find("not kept: no spill_dir") != std::string::npos);
    }
  }
}

TEST_CASE("bytes that are no text become valid UTF-8 without NUL") {
  spill_directory spill({});
  output_collector output(4096, spill);
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes.push_back(static_cast<char>(i));
  output.append(bytes + "\xF0\x9F end \xC0\x80 \xED\xA0\x80");
  const std::string text = output.text();
  CHECK(rustic::is_utf8(text));
  CHECK(text.find('\0') == std::string::npos);
  CHECK(text.find("abc") != std::string::npos);
  CHECK(text.size() <= 3 * 300);
}

TEST_CASE("a file has a cap and the result says so") {
  scratch_directory directory;
  spill_directory spill(spill_to(directory));
  output_collector output(1000, spill);
  const std::string piece(65536, 'x');
  for (int i = 0; i < 100; ++i) output.append(piece);
  CHECK(std::filesystem::file_size(output.spill_path()) == 4 << 20);
  CHECK(output.text().find("the first 4194304 bytes are in") != std::string::npos);
}

TEST_CASE("the directory has a cap: the oldest files go, foreign files stay") {
  scratch_directory directory;
  spill_directory spill(spill_to(directory));
  std::filesystem::create_directories(directory / "spill");
  std::ofstream(directory / "spill/notes.md") << "mine";
  std::string first;
  std::string last;
  for (int i = 0; i < 12; ++i) {
    output_collector output(1000, spill);
    output.append(std::string(1'500'000, static_cast<char>('a' + i)));
    last = output.spill_path();
    if (first.empty()) first = last;
    CHECK(directory_bytes(directory / "spill") <= 8 << 20);
  }
  CHECK(!std::filesystem::exists(first));
  CHECK(std::filesystem::file_size(last) == 1'500'000);
  CHECK(std::filesystem::exists(directory / "spill/notes.md"));
}

TEST_CASE("files being written are not deleted; without room the rest is left out") {
  scratch_directory directory;
  spill_directory spill(spill_to(directory));
  std::vector<std::unique_ptr<output_collector>> outputs;
  for (int i = 0; i < 5; ++i) {
    outputs.push_back(std::make_unique<output_collector>(1000, spill));
    outputs.back()->append(std::string(3 << 20, 'x'));
  }
  CHECK(directory_bytes(directory / "spill") <= 8 << 20);
  CHECK(outputs.back()->text().find("may hold 8388608 bytes") != std::string::npos);
  for (const auto& output : outputs) CHECK(std::filesystem::exists(output->spill_path()));
}

TEST_CASE("a directory that cannot be written costs the file, not the result") {
  scratch_directory directory;
  std::ofstream(directory / "spill") << "a file in its place";
  spill_directory spill(spill_to(directory));
  output_collector output(1000, spill);
  output.append(std::string(5000, 'x'));
  CHECK(output.truncated());
  CHECK(output.text().find("not kept: creating") != std::string::npos);
}

TEST_CASE("200 MB of output: bounded memory, bounded file, no event lost") {
  scratch_directory directory;
  auto settings = test_settings();
  settings.spill = spill_to(directory);
  command_runner runner(settings);
  struct counting_listener final : command_listener {
    next on_output(int, std::string_view bytes) override {
      bytes_ += bytes.size();
      return next::more;
    }
    void on_finished(outcome result) override { done.on_finished(std::move(result)); }
    std::atomic<std::uint64_t> bytes_{0};
    recording_listener done;
  };
  const auto listener = std::make_shared<counting_listener>();
  forget_peak_memory();
  const long before = peak_memory_kib();
  runner.run(test_command("yes | head -c 200000000", 60'000), listener);
  REQUIRE(listener->done.wait_finished(std::chrono::seconds(60)));
  const outcome result = listener->done.result();
  CHECK(listener->bytes_ == 200'000'000);
  CHECK(result.truncated);
  CHECK(result.output.size() < 34'000);
  CHECK(std::filesystem::file_size(result.spill_file) == 4 << 20);
  MESSAGE("200 MB in " << result.duration_ms << " ms, memory grew by " << peak_memory_kib() - before
                       << " KiB");
  CHECK(peak_memory_kib() - before < 16 * 1024);
}

TEST_CASE("one line of 5 MB and a binary file") {
  scratch_directory directory;
  auto settings = test_settings();
  settings.spill = spill_to(directory);
  command_runner runner(settings);
  const outcome line =
      run_to_end(runner, test_command("head -c 5000000 /dev/zero | tr '\\0' x; echo end"));
  CHECK(line.truncated);
  CHECK(line.output.ends_with("xend\n"));
  const outcome binary = run_to_end(runner, test_command("head -c 3000000 /dev/urandom"));
  CHECK(rustic::is_utf8(binary.output));
  CHECK(std::filesystem::file_size(binary.spill_file) == 3'000'000);
}

TEST_CASE("what a background process writes later is kept in the file") {
  scratch_directory directory;
  auto settings = test_settings();
  settings.spill = spill_to(directory);
  command_runner runner(settings);
  const outcome result = run_to_end(
      runner, test_command("echo first; (sleep 0.4; echo later; sleep 0.2; echo last) &"));
  CHECK(result.output == "first\n");
  CHECK(result.remaining_count >= 1);
  REQUIRE(!result.spill_file.empty());
  CHECK(eventually([&] { return read_file(result.spill_file) == "first\nlater\nlast\n"; }));
}
