// What the requests of one client share. Private to the client.
#pragma once
#include <atomic>
#include <memory>
#include <unordered_map>

#include "connection_pool.hpp"
#include "event_loop.hpp"
#include "http_client.hpp"

namespace rustic::http {

class exchange;

class client_core : public std::enable_shared_from_this<client_core> {
 public:
  explicit client_core(client_settings s);
  ~client_core();

  // Any thread.
  void cancel(std::uint64_t id);
  void resume(std::uint64_t id);
  void stop();

  // Loop thread.
  void begin(std::uint64_t id, http_request request, std::shared_ptr<response_sink> sink);
  void wake(std::uint64_t id);
  void remove(std::uint64_t id);  // soon, not now: its coroutine may still run
  // The answer reaches exchange `id`; the look-up is skipped when *wanted turns false before.
  bool look_up(std::uint64_t id, const std::string& host, std::uint16_t port,
               std::shared_ptr<std::atomic<bool>> wanted);

  const client_settings settings;
  const proxy_table proxies;
  event_loop loop;  // outlives all that waits in it
  connection_pool pool;
  tls_client tls;
  std::atomic<std::uint64_t> next_id{1};

 private:
  exchange* find(std::uint64_t id);

  std::unique_ptr<resolver> resolver_;  // made by the first look-up
  // Exchanges are made, found and destroyed on the loop's thread; after it has ended, by stop.
  std::unordered_map<std::uint64_t, std::unique_ptr<exchange>> exchanges_;
  std::atomic<bool> stopping_{false};
};

}  // namespace rustic::http
