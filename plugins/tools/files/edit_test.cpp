// files_edit: exact replacement, and errors that lead to the right edit.
#include "test_workspace.hpp"
#include "text.hpp"

namespace rustic::files {
namespace {

tool_result edit(test_workspace& work, const std::string& old_text, const std::string& new_text,
                 bool all = false) {
  return work.tools.edit({"f", {{old_text, new_text, all}}}, work.scope);
}

// The error of an edit that must fail and change nothing.
std::string error_of(test_workspace& work, const std::string& old_text,
                     const std::string& new_text = "something else") {
  const std::string before = work.get("f");
  const tool_result done = edit(work, old_text, new_text);
  CHECK_FALSE(done.success);
  CHECK(work.get("f") == before);
  CHECK(utf8_valid(done.error));
  return done.error;
}

TEST_CASE("one exact replacement") {
  test_workspace work;
  work.put("f", "one\ntwo\nthree");
  const tool_result done = edit(work, "two\nth", "2\nTH");
  REQUIRE(done.success);
  CHECK(work.get("f") == "one\n2\nTHree");
  CHECK(done.output == "Edited f: 1 replacement at line 2 (+2 -2).");
  CHECK(contains(done.metadata.at("diff").as_string(), "-two\n-three\n"));
  CHECK(edit(work, "2\n", "").success);
  CHECK(work.get("f") == "one\nTHree");
  CHECK(edit(work, "THree", "three\n").success);
  CHECK(work.get("f") == "one\nthree\n");
}

TEST_CASE("several matches") {
  test_workspace work;
  work.put("f", "x = 1\ny\nx = 1\nz x = 1\n");
  CHECK(contains(error_of(work, "x = 1"), "occurs 3 times in 'f', at lines 1, 3, 4"));
  const tool_result done = edit(work, "x = 1", "x = 2", true);
  REQUIRE(done.success);
  CHECK(contains(done.output, "3 replacements at lines 1, 3, 4"));
  CHECK(work.get("f") == "x = 2\ny\nx = 2\nz x = 2\n");
  work.put("f", "q\nxaaa\n");
  CHECK(contains(error_of(work, "aa"), "occurs 2 times in 'f', at lines 2, 2"));
  work.put("f", "a\nb\na\nb\na\n");
  CHECK(contains(error_of(work, "a\nb\na\n"), "occurs 2 times in 'f', at lines 1, 3"));
  work.put("f", "aaaa");
  CHECK(edit(work, "aa", "b", true).success);
  CHECK(work.get("f") == "bb");
}

TEST_CASE("CRLF, mixed line ends, byte order marks and encodings are kept") {
  test_workspace work;
  work.put("f", "one\r\ntwo\r\nthree\r\n");
  REQUIRE(edit(work, "one\ntwo\n", "1\n2\n2b\n").success);
  CHECK(work.get("f") == "1\r\n2\r\n2b\r\nthree\r\n");
  REQUIRE(edit(work, "2b\r\n", "").success);
  CHECK(work.get("f") == "1\r\n2\r\nthree\r\n");
  work.put("f", "unix\ndos\r\nunix\nlast\r\n");
  REQUIRE(edit(work, "dos", "d1\nd2").success);
  CHECK(work.get("f") == "unix\nd1\r\nd2\r\nunix\nlast\r\n");
  REQUIRE(edit(work, "unix\nlast", "u\nl").success);
  CHECK(work.get("f") == "unix\nd1\r\nd2\r\nu\nl\r\n");
  work.put("f", "a\r\r\nb\rc\n");  // stray carriage returns stay
  REQUIRE(edit(work, "c", "d").success);
  CHECK(work.get("f") == "a\r\r\nb\rd\n");
  work.put("f",
           "\xEF\xBB\xBF"
           "a\nb");
  REQUIRE(edit(work, "b", "c").success);
  CHECK(work.get("f") ==
        "\xEF\xBB\xBF"
        "a\nc");
  work.put("f", encode("gr\u00FC\u00DF\n", encoding::utf16_le));
  REQUIRE(edit(work, "\u00FC", "\U0001F600").success);
  CHECK(work.get("f") == encode("gr\U0001F600\u00DF\n", encoding::utf16_le));
  work.put("f", "caf\xE9 au lait\n");
  REQUIRE(edit(work, "lait", "noir").success);
  CHECK(work.get("f") == "caf\xE9 au noir\n");
  CHECK(contains(error_of(work, "caf\u00E9"), "not UTF-8"));
}

TEST_CASE("several edits are all made or none") {
  test_workspace work;
  work.put("f", "a\nb\nc\n");
  const tool_result done =
      work.call("files_edit", R"({"path":"f","edits":[{"old_text":"a","new_text":"b1"},)"
                              R"({"old_text":"b1\nb","new_text":"x"}]})");
  REQUIRE(done.success);
  CHECK(work.get("f") == "x\nc\n");
  const tool_result half =
      work.call("files_edit", R"({"path":"f","edits":[{"old_text":"x","new_text":"y"},)"
                              R"({"old_text":"nope","new_text":"z"}]})");
  CHECK_FALSE(half.success);
  CHECK(contains(half.error, "edits[1]:"));
  CHECK(contains(half.error, "None of the edits was made"));
  CHECK(work.get("f") == "x\nc\n");
  CHECK_FALSE(work.call("files_edit", R"({"path":"f"})").success);
  CHECK_FALSE(work.call("files_edit", R"({"path":"f","edits":[]})").success);
  CHECK_FALSE(work.call("files_edit", R"({"path":"f","edits":[1]})").success);
  CHECK(contains(work.call("files_edit", R"({"path":"f","edits":[{"old_text":"x"}]})").error,
                 "edits[0].new_text is missing"));
  CHECK(contains(
      work.call("files_edit", R"({"path":"f","old_text":"x","new_text":"y","edits":[{}]})").error,
      "together"));
  CHECK(
      work.call("files_edit", R"({"path":"f","old_text":"x","new_text":"y","edits":[]})").success);
}

TEST_CASE("an edit that cannot be right says so") {
  test_workspace work;
  work.put("f", "a\n");
  CHECK(contains(error_of(work, ""), "old_text is empty"));
  CHECK(contains(error_of(work, "a", "a"), "nothing would change"));
  CHECK(contains(work.tools.edit({"g", {{"a", "b", false}}}, work.scope).error, "does not exist"));
  work.put("f", "");
  CHECK(contains(error_of(work, "a"), "empty; use files_write"));
  work.put("f", std::string("a\0b", 3));
  CHECK(contains(error_of(work, "a"), "not text"));
  work.put("f", std::string("\xFF\xFE"
                            "a\0b",
                            5));
  CHECK(contains(error_of(work, "a"), "broken utf-16le"));
}

TEST_CASE("an edit after a change on disk is refused") {
  test_workspace work;
  work.put("f", "a\nb\n");
  REQUIRE(work.tools.read({"f"}, work.scope).success);
  work.put("f", "a\nb\nc\n");
  CHECK(contains(error_of(work, "a"), "changed on disk"));
  REQUIRE(work.tools.read({"f"}, work.scope).success);
  CHECK(edit(work, "a", "A").success);
  CHECK(edit(work, "A", "AA").success);  // its own change is known
}

TEST_CASE("what was not found is explained") {
  test_workspace work;
  work.put("f",
           "int main() {\n\tif (ready) {\n\t\treturn start(1, 2);\n\t}\n\treturn 0;  \n}\n\n"
           "void finish() {\n  say(\u201Cdone\u201D);\n}\n");
  std::string error = error_of(work, "    if (ready) {\n        return start(1, 2);\n    }");
  CHECK(contains(error, "line 2 differs only in blank space"));
  CHECK(contains(error, "Line 2 begins with 1 tab, old_text with 4 spaces"));
  CHECK(contains(error, "3\t\t\treturn start(1, 2);"));
  CHECK(contains(error_of(work, "\treturn 0;\n}"), "ends with 2 blanks"));
  CHECK(contains(error_of(work, "return start( 1,2 );"), "line 3 differs only in blank space"));
  CHECK(contains(error_of(work, " 2\t\tif (ready) {\n 3\t\t\treturn start(1, 2);"),
                 "leave out the number"));
  CHECK(contains(error_of(work, "\t\treturn start(1,2);"), "blanks inside line 3"));
  CHECK(contains(error_of(work, "\\tif (ready) {\\n"), "without the backslash escapes"));
  CHECK(contains(error_of(work, "  say(\"done\");"), "typographic"));
  CHECK(contains(error_of(work, "retrun begin(1, 2);", "return start(1, 2);"),
                 "already there, at line 3"));
  error = error_of(work, "void finish() {\n  say(nothing);\n}");
  CHECK(contains(error, "first 1 line match from line 8"));
  CHECK(contains(error, "9\t  say("));
  CHECK(contains(error_of(work, "  return start(1, 3);"), "most similar lines are:\n3\t"));
  CHECK(contains(error_of(work, "zzzz qqqq"), "Nothing in the file resembles it"));
  CHECK(contains(error_of(work, "  \n \n   \n"), "nothing but blank space"));
}

TEST_CASE("explanations are bounded, in size and time") {
  test_workspace work;
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += "some line of code number " + std::to_string(i) + ";\n";
  text += std::string(1'000'000, 'q');
  work.put("f", text);
  const double start = thread_seconds();
  std::string wanted;
  for (int i = 0; i < 2000; ++i) wanted += "some lime of code number " + std::to_string(i) + ";\n";
  CHECK(error_of(work, wanted).size() < 8000);
  CHECK(error_of(work, std::string(100'000, 'q') + "r").size() < 8000);
  CHECK(thread_seconds() - start < 10);
}

}  // namespace
}  // namespace rustic::files
