// files_read on real files.
#include "test_workspace.hpp"
#include "text.hpp"

namespace rustic::files {
namespace {

namespace fs = std::filesystem;
using namespace std::string_literals;

tool_result read(test_workspace& work, const char* path, std::size_t offset = 1,
                 std::size_t limit = read_lines_default, bool numbers = true) {
  return work.tools.read({path, offset, limit, numbers}, work.scope);
}

TEST_CASE("lines with their numbers") {
  test_workspace work;
  work.put("f", "one\ntwo\r\n\nfour");
  const tool_result all = read(work, "f");
  REQUIRE(all.success);
  CHECK(all.output == "1\tone\n2\ttwo\n3\t\n4\tfour\n");
  CHECK(all.metadata.at("lines_total") == 4);
  CHECK(all.metadata.at("more") == false);
  CHECK(read(work, "f", 1, 10, false).output == "one\ntwo\n\nfour\n");
  const tool_result part = read(work, "f", 2, 2);
  CHECK(part.output == "2\ttwo\n3\t\n[lines 2-3 of 4; continue with offset 4]");
  CHECK(part.metadata.at("more") == true);
  const tool_result beyond = read(work, "f", 5);
  CHECK_FALSE(beyond.success);
  CHECK(contains(beyond.error, "has 4 lines"));
}

TEST_CASE("numbers are aligned") {
  test_workspace work;
  std::string text;
  for (int i = 1; i <= 12; ++i) text += "x\n";
  work.put("f", text);
  CHECK(contains(read(work, "f").output, " 9\tx\n10\tx\n"));
}

TEST_CASE("empty, missing, directory") {
  test_workspace work;
  work.put("empty", "");
  work.put("src/reader.cpp", "x");
  work.put("src/Makefile", "x");
  CHECK(read(work, "empty").output == "[empty is empty]");
  const tool_result missing = read(work, "src/readr.cpp");
  CHECK_FALSE(missing.success);
  CHECK(contains(missing.error, "src/reader.cpp"));
  CHECK(contains(read(work, "src/makefile").error, "src/Makefile"));
  CHECK(contains(read(work, "src/reader.hpp").error, "src/reader.cpp"));
  CHECK(contains(read(work, "scr/reader.cpp").error, "Similar names there: src/"));
  CHECK(contains(read(work, "nothing/like/this").error, "files_glob"));
  CHECK(contains(read(work, "src").error, "files_list"));
}

TEST_CASE("long output is cut at a line and says how to go on") {
  test_workspace work;
  std::string text;
  for (int i = 1; i <= 5000; ++i)
    text += "line " + std::to_string(i) + " " + std::string(60, 'x') + "\n";
  work.put("f", text);
  std::size_t offset = 1;
  std::size_t seen = 0;
  for (int reads = 0; reads < 20; ++reads) {
    const tool_result part = read(work, "f", offset, 20000, false);
    REQUIRE(part.success);
    REQUIRE(part.output.size() <= 64 * 1024);
    const auto last =
        static_cast<std::size_t>(part.metadata.at("last_line").to_number<std::int64_t>());
    REQUIRE(contains(part.output, "line " + std::to_string(last) + " "));
    seen += last - offset + 1;
    offset = last + 1;
    if (!part.metadata.at("more").as_bool()) break;
    REQUIRE(contains(part.output, "continue with offset " + std::to_string(offset)));
  }
  CHECK(seen == 5000);
}

TEST_CASE("one endless line") {
  test_workspace work;
  work.put("f", std::string(3'000'000, 'y') + "\nend\n");
  const tool_result all = read(work, "f");
  REQUIRE(all.success);
  CHECK(all.output.size() < 4000);
  CHECK(contains(all.output, "2998000 more bytes in this line"));
  CHECK(contains(all.output, "2\tend\n"));
}

TEST_CASE("binary data, encodings and broken text") {
  test_workspace work;
  work.put("image", "\x89PNG\r\n\x1a\n\0\0\0\0"s);
  const tool_result image = read(work, "image");
  CHECK_FALSE(image.success);
  CHECK(contains(image.error, "PNG image"));
  CHECK(contains(image.error, "12 B"));
  work.put("bom", "\xEF\xBB\xBFtext\n");
  CHECK(read(work, "bom").output == "1\ttext\n");
  work.put("wide", encode("gr\u00FC\u00DF\n\U0001F600\n", encoding::utf16_le));
  const tool_result wide = read(work, "wide");
  CHECK(contains(wide.output, "1\tgr\u00FC\u00DF\n2\t\U0001F600\n"));
  CHECK(contains(wide.output, "utf-16le"));
  work.put("latin", "caf\xE9\n");
  const tool_result latin = read(work, "latin");
  CHECK(latin.success);
  CHECK(contains(latin.output, "caf\uFFFD"));
  CHECK(contains(latin.output, "not utf-8"));
  CHECK(utf8_valid(latin.output));
  work.put("\u65E5\u672C\u8A9E.txt", "\u6587\n");
  CHECK(read(work, "\u65E5\u672C\u8A9E.txt").output == "1\t\u6587\n");
  work.put("odd\nname", "x");
  CHECK(read(work, "odd\nname").success);
  work.put("bad\xFFname", "x");
  const tool_result missing = read(work, "bad?name");
  CHECK_FALSE(missing.success);
  CHECK(utf8_valid(missing.error));
}

TEST_CASE("a huge sparse file is read in parts, and in bounded time") {
  test_workspace work;
  {
    std::ofstream out(work.root / "huge", std::ios::binary);
    const std::string line = std::string(99, 'z') + "\n";
    std::string block;
    for (int i = 0; i < 10000; ++i) block += line;
    for (int i = 0; i < 40; ++i) out << block;  // 40 MB, 400,000 lines
  }
  const tool_result head = read(work, "huge", 1, 3);
  REQUIRE(head.success);
  CHECK(contains(head.output, "[lines 1-3 of 400000; continue with offset 4]"));
  const tool_result tail = read(work, "huge", 399'999, 10);
  REQUIRE(tail.success);
  CHECK(tail.metadata.at("last_line") == 400'000);
  CHECK(contains(read(work, "huge", 400'001).error, "has 400000 lines"));
  int polls = 0;
  work.scope.cancelled = [&] { return ++polls > 5; };
  const tool_result cancelled = read(work, "huge", 399'999);
  CHECK(cancelled.cancelled);
  CHECK_FALSE(cancelled.success);
}

TEST_CASE("a file that cannot be read says why") {
  test_workspace work;
  work.put("f", "x");
  work.put("closed/f", "x");
  fs::permissions(work.root / "f", fs::perms::none);
  fs::permissions(work.root / "closed", fs::perms::none);
  const std::string errors = as_nobody(work, [&] {
    return read(work, "f").error + "\n" + read(work, "closed/f").error + "\n" +
           work.call("files_grep", R"({"pattern":"x"})").output;
  });
  CHECK(contains(errors, "cannot open 'f': Permission denied"));
  CHECK(contains(errors, "cannot open 'closed/f': Permission denied"));
  CHECK(contains(errors, "1 directory could not be read"));
  fs::permissions(work.root / "closed", fs::perms::owner_all);
}

TEST_CASE("arguments are checked") {
  test_workspace work;
  work.put("f", "a\nb\n");
  CHECK(contains(work.call("files_read", "{}").error, "path is missing"));
  CHECK(contains(work.call("files_read", R"({"path":1})").error, "must be a string"));
  CHECK(contains(work.call("files_read", R"({"path":"f","offset":0})").error, "at least 1"));
  CHECK(contains(work.call("files_read", R"({"path":"f","offset":-9e99})").error, "offset"));
  CHECK(contains(work.call("files_read", R"({"path":"f","limit":1.5})").error, "limit"));
  CHECK(work.call("files_read", R"({"path":"f","limit":999999999})").success);
  CHECK(contains(work.call("files_read", R"({"path":"f","offset":18446744073709551615})").error,
                 "offset"));
  CHECK_FALSE(work.call("files_read", R"({"path":"f","offset":9000000000000000000})").success);
  CHECK_FALSE(work.call("files_nonsense", "{}").success);
}

TEST_CASE("a small read is quick") {
  test_workspace work;
  std::string text;
  for (int i = 0; i < 100; ++i) text += "a line of source code, as usual;\n";
  work.put("src/a/b/c.cpp", text);
  (void)read(work, "src/a/b/c.cpp");
  const int rounds = 500;
  const double before = thread_seconds();
  for (int i = 0; i < rounds; ++i) REQUIRE(read(work, "src/a/b/c.cpp").success);
  const double us = (thread_seconds() - before) * 1e6 / rounds;
  MESSAGE("one read of 100 lines: " << us << " us of processor time");
  CHECK(us < 1000);  // a bound that also holds for unoptimised and sanitized builds
}

}  // namespace
}  // namespace rustic::files
