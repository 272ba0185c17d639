// Cancellation at any moment, stopping, and what a client leaves behind.
#include <dirent.h>
#include <doctest/doctest.h>

#include <fstream>
#include <sstream>

#include "test_server.hpp"

using namespace rustic::http;
using namespace rustic::http::testing;

namespace {

std::size_t entries_of(const char* directory) {
  DIR* d = opendir(directory);
  std::size_t count = 0;
  while (readdir(d)) ++count;
  closedir(d);
  return count;
}

}  // namespace

TEST_CASE("a name server that hangs does not hold up other names") {
  gate end;
  test_server server([](peer& p) {
    p.read_request();
    p.send(answer("fast"));
  });
  client_settings settings;
  settings.lookup = [&](const std::string& host, std::uint16_t) {
    if (host == "slow.test") end.pass();
    return resolved{{loopback(server.port())}, {}};
  };
  http_client client(settings);
  auto slow = std::make_shared<recorder>();
  auto handle = client.start(get("http://slow.test/"), slow);
  REQUIRE(end.wait_until_waited_at());
  CHECK(fetch(client, get("http://fast.test/"))->body == "fast");
  handle.cancel();
  REQUIRE(slow->wait_finished());
  CHECK(slow->result.status == RAI_CANCELLED);
  end.open();
}

TEST_CASE("cancel finishes a request wherever it is") {
  gate reached;
  gate end;
  client_settings settings;
  settings.max_connections_per_origin = 1;
  settings.lookup = [&](const std::string&, std::uint16_t) {
    reached.pass();
    end.pass();
    return resolved{{}, "late"};
  };
  reached.open();
  http_client client(settings);
  auto sink = std::make_shared<recorder>();
  auto cancel_and_check = [&](const request_handle& handle) {
    handle.cancel();
    handle.cancel();
    REQUIRE(sink->wait_finished());
    CHECK(sink->result.status == RAI_CANCELLED);
    CHECK(sink->finishes == 1);
  };
  SUBCASE("at once") {
    cancel_and_check(client.start(get("http://slow.test/"), sink));
  }
  SUBCASE("looking up the name") {
    auto handle = client.start(get("http://slow.test/"), sink);
    REQUIRE(reached.wait_until_waited_at());
    cancel_and_check(handle);
  }
  SUBCASE("connecting") {
    hung_listener hung;
    auto handle = client.start(get(hung.url()), sink);
    cancel_and_check(handle);
  }
  SUBCASE("in the TLS handshake") {
    test_server server([&](peer& p) {
      reached.pass();
      p.wait_until_closed();
    });
    auto handle =
        client.start(get("https://127.0.0.1:" + std::to_string(server.port()) + "/"), sink);
    REQUIRE(reached.wait_until_waited_at());
    cancel_and_check(handle);
  }
  SUBCASE("sending") {
    test_server server([&](peer&) {
      reached.pass();
      end.pass();
    });
    http_request request = get(server.url());
    request.body.assign(64 * 1024 * 1024, 'x');
    auto handle = client.start(request, sink);
    REQUIRE(reached.wait_until_waited_at());
    cancel_and_check(handle);
    end.open();
  }
  SUBCASE("waiting for the answer, and another for its connection") {
    test_server server([&](peer& p) {
      p.read_request();
      reached.pass();
      p.wait_until_closed();
    });
    auto first = std::make_shared<recorder>();
    auto handle = client.start(get(server.url()), first);
    REQUIRE(reached.wait_until_waited_at());
    cancel_and_check(client.start(get(server.url()), sink));
    handle.cancel();
    REQUIRE(first->wait_finished());
    CHECK(server.connections() == 1);
  }
  SUBCASE("in the body, and paused") {
    test_server server([&](peer& p) {
      p.read_request();
      p.send("HTTP/1.1 200 OK\r\n\r\nendless");
      p.wait_until_closed();
    });
    auto other = std::make_shared<recorder>();
    auto handle = client.start(get(server.url()), other);
    REQUIRE(other->wait_body(1));
    handle.cancel();
    REQUIRE(other->wait_finished());
    CHECK(other->result.body_bytes == 7);
    sink->on_piece = [](std::string_view) { return sink_flow::pause; };
    auto paused = client.start(get(server.url()), sink);
    REQUIRE(sink->wait_body(1));
    cancel_and_check(paused);
    paused.resume();
  }
  end.open();
}

TEST_CASE("a sink that says stop is cancelled") {
  test_server server([](peer& p) {
    p.read_request();
    p.send("HTTP/1.1 200 OK\r\n\r\nendless");
    p.wait_until_closed();
  });
  http_client client({});
  auto sink = std::make_shared<recorder>();
  sink->on_piece = [](std::string_view) { return sink_flow::stop; };
  client.start(get(server.url()), sink);
  REQUIRE(sink->wait_finished());
  CHECK(sink->result.status == RAI_CANCELLED);
}

TEST_CASE("stopping cancels everything and leaves nothing behind") {
  const auto cycle = [] {
    test_server server([](peer& p) {
      p.read_request();
      p.send("HTTP/1.1 200 OK\r\n\r\nendless");
      p.wait_until_closed();
    });
    auto client = std::make_unique<http_client>(client_settings());
    std::vector<std::shared_ptr<recorder>> sinks;
    request_handle handle;
    for (int i = 0; i < 20; ++i) {
      sinks.push_back(std::make_shared<recorder>());
      handle = client->start(get(server.url()), sinks.back());
    }
    REQUIRE(sinks.front()->wait_body(1));
    client->stop();
    for (auto& sink : sinks) {
      CHECK(sink->finishes == 1);
      CHECK(sink->result.status == RAI_CANCELLED);
    }
    auto late = std::make_shared<recorder>();
    client->start(get(server.url()), late);
    CHECK(late->finishes == 1);
    client.reset();
    handle.cancel();
    handle.resume();
  };
  cycle();
  const auto threads = entries_of("/proc/self/task");
  const auto files = entries_of("/proc/self/fd");
  cycle();
  CHECK(entries_of("/proc/self/task") == threads);
  CHECK(entries_of("/proc/self/fd") == files);
}

TEST_CASE("a client that was never used has no thread and no descriptor to speak of") {
  const auto threads = entries_of("/proc/self/task");
  http_client client({});
  CHECK(entries_of("/proc/self/task") == threads);
}

TEST_CASE("no timer runs when nothing is going on") {
  test_server server([](peer& p) {
    while (!p.read_request().empty()) p.send(answer("x"));
  });
  http_client client({});
  CHECK(fetch(client, get(server.url()))->body == "x");
  // A second request runs after the first has been cleared away; wait likewise for its own end.
  auto armed = [] {
    int count = 0;
    DIR* d = opendir("/proc/self/fdinfo");
    while (const dirent* entry = readdir(d)) {
      std::ifstream in("/proc/self/fdinfo/" + std::string(entry->d_name));
      std::stringstream text;
      text << in.rdbuf();
      const auto at = text.str().find("it_value: ");
      if (at != std::string::npos && text.str().compare(at, 16, "it_value: (0, 0)") != 0) ++count;
    }
    closedir(d);
    return count;
  };
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (armed() != 0 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  CHECK(armed() == 0);
}
