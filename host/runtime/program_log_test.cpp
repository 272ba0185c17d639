// What the log writes of texts that plugins choose.
#include <doctest/doctest.h>
#include <stdlib.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "host/runtime/program_log.hpp"

using rustic::runtime::program_log;
namespace fs = std::filesystem;

TEST_CASE("a line of the log is one line, and no terminal obeys what stands in it") {
  std::string name = (fs::temp_directory_path() / "rustic-log-XXXXXX").string();
  const fs::path dir = mkdtemp(name.data());
  {
    program_log log(dir / "log", RAI_LOG_TRACE, program_log::format::pretty);
    log.write(RAI_LOG_ERROR, "hostile", 0,
              "red \x1b[31m\x1b]0;title\a two\nlines\r\b\x7f \xc2\x9b"
              "2J \xff caf\xc3\xa9");
  }
  std::ifstream in(dir / "log", std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(in)), {});
  REQUIRE(text.ends_with("\n"));
  text.pop_back();
  CAPTURE(text);
  CHECK(std::none_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }));
  CHECK(text.find("\xc2\x9b") == std::string::npos);
  CHECK(text.find("[hostile] red  [31m") != std::string::npos);
  CHECK(text.ends_with("caf\xc3\xa9"));
  fs::remove_all(dir);
}
