// Idle connections kept for reuse, and how many may be in use for one origin.
#pragma once
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>

#include "connection.hpp"

namespace rustic::http {

// Loop thread only. Staleness is looked at when a connection is taken or given back and never by a
// timer, so that an idle client does nothing.
class connection_pool {
 public:
  explicit connection_pool(std::size_t in_use_max_per_key) : in_use_max_(in_use_max_per_key) {}

  // Places. True: the caller holds one. False: `granted` is called once it does.
  bool acquire(const std::string& key, const void* who, std::function<void()> granted);
  void withdraw(const std::string& key, const void* who);  // while it waits
  void release(const std::string& key);

  // The most recently used idle connection that still lives, or null.
  std::unique_ptr<connection> take(const std::string& key);
  void give_back(std::unique_ptr<connection> connection);
  void clear() { idle_.clear(); }
  std::size_t idle_count() const { return idle_.size(); }

 private:
  struct waiting {
    const void* who;
    std::function<void()> granted;
  };
  struct places {
    std::size_t in_use = 0;
    std::list<waiting> queue;
  };
  void drop_old();

  const std::size_t in_use_max_;
  std::map<std::string, places> places_;         // only keys in use
  std::list<std::unique_ptr<connection>> idle_;  // the most recently used first
};

}  // namespace rustic::http
