// The function by itself, then the built plugin as a host sees it.
#include "word_count.hpp"

#include <rustic/testing.hpp>

int main() {
  rustic::testing::checks check;
  check(word_count_plugin::count("").lines == 0, "nothing has no lines");
  check(word_count_plugin::count("a b\nc").lines == 2, "a last line needs no end");
  check(word_count_plugin::count("  a \t b  ").words == 2, "blanks in a row are one gap");
  check(word_count_plugin::count("\xC3\xA9t\xC3\xA9").characters == 3, "code points count");

  rustic::testing::loaded_plugin plugin(PLUGIN_FILE);
  rustic::json::object request{{"id", "call_1"}};
  request["arguments"] = rustic::json::object{{"text", "to be or not to be\n"}};
  const auto answer = plugin.call("rustic.tool/word_count", "call", request);
  check(answer.ok(), "the tool answers");
  check.equal(rustic::text_or(answer.object(), "output"), "1 lines, 6 words, 19 characters",
              "the tool's output");

  request["arguments"] = rustic::json::object{};
  check(!plugin.call("rustic.tool/word_count", "call", request).message().empty(),
        "arguments that do not fit are refused with a message");
  return check.failures();
}
