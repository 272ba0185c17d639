// rustic/testing.hpp - loads a built plugin and calls it: for the tests of plugins. Link
// rustic::testing.
//
//   rustic::testing::loaded_plugin plugin(PLUGIN_FILE);
//   rustic::testing::checks check;
//   const auto answer = plugin.call("rustic.tool/hello", "call", {{"arguments", ...}});
//   check(answer.ok(), "the tool answers");
//   return check.failures();
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <rustic/status.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace rustic::testing {

struct sent_event {
  std::uint16_t kind = RAI_EVENT_TEXT;
  std::string text;
  std::uint32_t index = 0;
  std::uint64_t a = 0, b = 0;
};

// The outcome of a call: its events in order and its finish.
struct answer {
  status_code status = status_code::ok;
  std::string body = "{}";
  std::vector<sent_event> events = {};

  bool ok() const noexcept { return status == status_code::ok; }
  // The body; throws failure with the call's error.
  json::object object() const;
  // The message of the error.
  std::string message() const { return read_error(status, body).message; }
  // The texts of the events of one kind in a row.
  std::string joined(rai_event_kind kind) const;
};

struct asked {
  std::string target, method, body, data;
  json::object object() const { return parse_object(body, method); }
};
// Stands for a service that the plugin calls. Runs on a thread of its own for each call.
using other_service = std::function<answer(const asked&)>;

// A plugin, created and started; stopped, destroyed and left mapped in the end.
// Threads: one test thread. Errors: the constructor throws failure with the plugin's own words. A
// call without a finish within answer_ms_max, or with two, ends the process: a plugin that does
// that cannot be stopped.
class loaded_plugin {
 public:
  static constexpr std::int64_t answer_ms_max = 30'000;

  explicit loaded_plugin(const std::string& file, const json::object& config = {});
  ~loaded_plugin();
  loaded_plugin(const loaded_plugin&) = delete;
  loaded_plugin& operator=(const loaded_plugin&) = delete;

  // Answers the plugin's calls to `target` ("rustic.http/default") from now on. What nobody answers
  // for is NOT_FOUND.
  void answer_for(std::string target, other_service service);

  // One call, from its beginning to its release. `context` is the root context, a JSON object.
  answer call(std::string_view target, std::string_view method, const json::object& body,
              const json::object& context = {}, std::string_view data = {});
  // A call that the caller cancels as soon as the plugin has taken it.
  answer call_and_cancel(std::string_view target, std::string_view method,
                         const json::object& body);
  // A call to `target` on its way through the interceptor; answer_for(target) is what comes behind.
  answer intercept(std::string_view interceptor, std::string_view target, std::string_view method,
                   const json::object& body, const json::object& context = {});

  // What it has written to the log, and published ("topic body").
  std::vector<std::string> logged() const;
  std::vector<std::string> published() const;
  // What it would hand to its next generation; UNIMPLEMENTED when it hands nothing.
  answer save() const;
  status_code restore(std::string_view state);

 private:
  struct host;
  std::unique_ptr<host> host_;
};

// Counts what does not hold and says it on standard error. Threads: one.
class checks {
 public:
  void operator()(bool holds, std::string_view what);
  // actual == expected; shows both when it is not.
  void equal(std::string_view actual, std::string_view expected, std::string_view what);
  // For main to return: 0, or how many failed, at most 100.
  int failures() const noexcept;

 private:
  int failed_ = 0;
};
}  // namespace rustic::testing
