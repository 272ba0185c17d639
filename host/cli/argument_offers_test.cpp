// What the completion scripts are told.
#include "host/cli/argument_offers.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "host/cli/arguments.hpp"

using namespace rustic::cli;
using kind = argument_offers::kind;

namespace {
bool offered(const argument_offers& out, const std::string& word) {
  return std::any_of(out.words.begin(), out.words.end(),
                     [&](const auto& one) { return one.word == word; });
}
}  // namespace

TEST_CASE("commands and their commands") {
  const auto top = offers_for({""});
  for (const auto* word : {"chat", "run", "demo", "session", "config", "plugin", "tools", "agents",
                           "models", "doctor", "trust", "untrust", "completion"})
    CHECK(offered(top, word));
  CHECK(offered(offers_for({"session", ""}), "export"));
  CHECK(offered(offers_for({"--config", "chat", "--no-color", "config", ""}), "explain"));
  CHECK(!offered(offers_for({"session", "list", ""}), "list"));
}

TEST_CASE("options are those of the command") {
  const auto chat = offers_for({"chat", "-"});
  for (const auto* word : {"--output", "-o", "--output-schema", "--resume", "--session", "-r",
                           "--continue", "--quiet", "--permission-mode", "--help"})
    CHECK(offered(chat, word));
  CHECK(!offered(chat, "--kind"));
  CHECK(!offered(offers_for({"config", "show", "--"}), "--continue"));
  CHECK(offered(offers_for({"plugin", "new", "--"}), "--kind"));
  CHECK(offered(offers_for({"doctor", "--t"}), "--try"));
  CHECK(offers_for({"chat", "--", "-"}).words.empty());
}

TEST_CASE("values of options") {
  CHECK(offered(offers_for({"chat", "-o", ""}), "stream-json"));
  CHECK(offered(offers_for({"chat", "--quiet", "--output", "=", "js"}), "json"));
  const auto joined = offers_for({"chat", "--output=js"});
  CHECK(joined.before == "--output=");
  CHECK(offered(joined, "json"));
  CHECK(offered(offers_for({"plugin", "new", "--kind", ""}), "storage"));
  CHECK(offered(offers_for({"completion", ""}), "fish"));
  CHECK(offers_for({"--config", ""}).what == kind::files);
  CHECK(offers_for({"-C", ""}).what == kind::directories);
  CHECK(offers_for({"chat", "-qC", ""}).what == kind::directories);
  CHECK(offers_for({"chat", "--agent", ""}).named == "agent");
  CHECK(offers_for({"models", "--provider", ""}).named == "provider");
  CHECK(offers_for({"-m", ""}).named == "model");
  CHECK(offers_for({"session", "show", ""}).named == "session");
  CHECK(offers_for({"config", "set", ""}).named == "key");
  CHECK(offers_for({"plugin", "info", ""}).named == "plugin");
  CHECK(offers_for({"plugin", "install", ""}).what == kind::files);
}

TEST_CASE("a line that is wrong offers nothing and does no harm") {
  CHECK(offers_for({}).words.empty());
  CHECK(offers_for({"session", "show", "one", "two", ""}).words.empty());
  CHECK(offers_for({"chat", "--no-such-option=x"}).words.empty());
  CHECK(offers_for({"chat", "words", ""}).words.empty());
}
