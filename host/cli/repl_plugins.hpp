// host/cli/repl_plugins.hpp - plugins in a conversation: news of changed files, /plugins, /plugin.
#pragma once
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "host/runtime/plugin_keeper.hpp"

namespace rustic::cli {

// Lines that wait until they disturb nobody. Threads: put from any, the rest from one.
class notice_box {
 public:
  notice_box();
  ~notice_box();
  notice_box(const notice_box&) = delete;
  notice_box& operator=(const notice_box&) = delete;

  void put(runtime::plugin_notice notice);
  // What came since the last time, one line each, safe for a terminal.
  std::vector<std::string> take();
  // Readable while something waits; for poll(2). Owned by this object.
  int descriptor() const noexcept { return wake_; }

 private:
  int wake_ = -1;
  std::mutex mutex_;
  std::vector<runtime::plugin_notice> waiting_;
  std::size_t dropped_ = 0;
};

// Watches the plugin files as long as it lives.
class repl_plugins {
 public:
  // `keeper` outlives it. When files cannot be watched, the first line of the news says so.
  explicit repl_plugins(runtime::plugin_keeper& keeper);
  ~repl_plugins();
  repl_plugins(const repl_plugins&) = delete;
  repl_plugins& operator=(const repl_plugins&) = delete;

  notice_box& news() noexcept { return news_; }
  // The answer to "/plugins".
  std::string table(std::size_t width) const;
  // "/plugin reload NAME" or "/plugin accept NAME"; what to say. Throws failure.
  std::string obey(const std::string& words);
  // What may follow "/plugin".
  std::vector<std::string> words() const;

 private:
  runtime::plugin_keeper& keeper_;
  notice_box news_;
};
}  // namespace rustic::cli
