// What a client does with servers that behave: bodies, pool, encodings, redirects, proxies, flow.
#include <doctest/doctest.h>

#include "test_server.hpp"

using namespace rustic::http;
using namespace rustic::http::testing;

namespace {

// Answers every request on a connection the same way.
test_server::script always(std::string text) {
  return [text = std::move(text)](peer& p) {
    while (!p.read_request().empty()) p.send(text);
  };
}

}  // namespace

TEST_CASE("a body with a length") {
  test_server server(always(answer("hello", "X-One: 1\r\nX-Two:  two \r\n")));
  http_client client({});
  auto got = fetch(client, get(server.url("/a?b=c#fragment")));
  CHECK(got->result.status == RAI_OK);
  CHECK(got->result.http_status == 200);
  CHECK(got->result.body_bytes == 5);
  CHECK(got->body == "hello");
  CHECK(got->head.version == "1.1");
  CHECK(got->head.header("x-one") == "1");
  CHECK(got->head.header("x-two") == "two");
  CHECK(got->final_url.empty());
  CHECK(got->finishes == 1);
}

TEST_CASE("what the server sees") {
  std::string seen;
  test_server server([&](peer& p) {
    seen = p.read_request();
    p.send(answer(""));
  });
  client_settings settings;
  settings.user_agent = "tester/1";
  http_client client(settings);
  http_request request = get(server.url("/path?q=1"));
  request.method = "POST";
  request.headers = {{"X-Key", "v"}, {"Content-Type", "text/plain"}};
  request.body = "payload";
  CHECK(fetch(client, request)->result.status == RAI_OK);
  CHECK(seen.substr(0, seen.find("\r\n")) == "POST /path?q=1 HTTP/1.1");
  CHECK(header_of(seen, "host") == "localhost:" + std::to_string(server.port()));
  CHECK(header_of(seen, "user-agent") == "tester/1");
  CHECK(header_of(seen, "accept-encoding") == "gzip, deflate");
  CHECK(header_of(seen, "x-key") == "v");
  CHECK(header_of(seen, "content-length") == "7");
  CHECK(seen.substr(seen.size() - 7) == "payload");
}

TEST_CASE("an answer in pieces of every size gives the same") {
  const std::string chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" +
                              chunk("first") + chunk("second, longer") +
                              "0;x=y\r\nTrailer: t\r\n\r\n";
  const std::string closing = "HTTP/1.0 200 OK\r\n\r\nfirstsecond, longer";
  const std::string counted = answer("firstsecond, longer");
  for (const auto* text : {&chunked, &closing, &counted}) {
    for (std::size_t piece = 1; piece < 40; ++piece) {
      test_server server([&](peer& p) {
        p.read_request();
        p.send_split(*text, piece);
      });
      http_client client({});
      auto got = fetch(client, get(server.url()));
      REQUIRE(got->result.status == RAI_OK);
      REQUIRE(got->body == "firstsecond, longer");
    }
  }
}

TEST_CASE("answers without a body keep the connection") {
  test_server server([](peer& p) {
    for (std::string r; !(r = p.read_request()).empty();) {
      if (r.compare(0, 5, "HEAD ") == 0) {
        p.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nContent-Encoding: gzip\r\n\r\n");
      } else if (r.find("/204") != std::string::npos) {
        p.send("HTTP/1.1 204 No Content\r\n\r\n");
      } else {
        p.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" +
               answer("real"));
      }
    }
  });
  http_client client({});
  http_request head = get(server.url());
  head.method = "HEAD";
  CHECK(fetch(client, head)->result.status == RAI_OK);
  auto empty = fetch(client, get(server.url("/204")));
  CHECK(empty->result.http_status == 204);
  auto real = fetch(client, get(server.url("/interim")));
  CHECK(real->body == "real");
  CHECK(real->head.header("link").empty());
  CHECK(server.connections() == 1);
}

TEST_CASE("one connection serves requests that follow each other") {
  test_server server(always(answer("x")));
  http_client client({});
  for (int i = 0; i < 20; ++i) REQUIRE(fetch(client, get(server.url()))->body == "x");
  CHECK(server.connections() == 1);
}

TEST_CASE("Connection: close is obeyed") {
  test_server server([](peer& p) {
    p.read_request();
    p.send(answer("x", "Connection: close\r\n"));
    p.wait_until_closed();
  });
  http_client client({});
  for (int i = 0; i < 3; ++i) REQUIRE(fetch(client, get(server.url()))->body == "x");
  CHECK(server.connections() == 3);
}

TEST_CASE("no more connections to an origin than allowed") {
  std::atomic<int> open{0};
  std::atomic<int> most{0};
  test_server server([&](peer& p) {
    while (!p.read_request().empty()) {
      const int now = ++open;
      for (int seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {
      }
      p.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na");
      --open;
      p.send("b");
    }
  });
  client_settings settings;
  settings.max_connections_per_origin = 3;
  http_client client(settings);
  std::vector<std::shared_ptr<recorder>> sinks;
  for (int i = 0; i < 40; ++i) {
    sinks.push_back(std::make_shared<recorder>());
    client.start(get(server.url()), sinks.back());
  }
  for (auto& sink : sinks) {
    REQUIRE(sink->wait_finished());
    CHECK(sink->body == "ab");
  }
  CHECK(most <= 3);
  CHECK(server.connections() <= 3);
}

TEST_CASE("compressed bodies, whole and byte by byte") {
  std::string text;
  for (int i = 0; i < 300; ++i) text += "line " + std::to_string(i * 7919) + "\n";
  struct form {
    const char* name;
    std::string bytes;
  };
  for (const form& f : {form{"gzip", gzip(text)}, form{"X-GZIP", gzip(text)},
                        form{"deflate", deflate_raw(text)}, form{"deflate", deflate_zlib(text)},
                        form{"gzip", gzip(text.substr(0, 1000)) + gzip(text.substr(1000))},
                        form{"gzip", gzip(text) + std::string(8, '\0')}}) {
    for (const std::size_t piece : {std::size_t{1}, std::size_t{100}, f.bytes.size() + 200}) {
      test_server server([&](peer& p) {
        p.read_request();
        p.send_split(answer(f.bytes, std::string("Content-Encoding: ") + f.name + "\r\n"), piece);
        p.wait_until_closed();
      });
      http_client client({});
      auto got = fetch(client, get(server.url()));
      REQUIRE(got->result.status == RAI_OK);
      CHECK(got->body == text);
      CHECK(got->result.body_bytes == text.size());
      CHECK(got->head.header("content-encoding").empty());
      CHECK(got->head.header("content-length").empty());
    }
  }
}

TEST_CASE("an encoding that is not known is passed on") {
  test_server server(always(answer("raw", "Content-Encoding: br\r\n")));
  http_client client({});
  auto got = fetch(client, get(server.url()));
  CHECK(got->body == "raw");
  CHECK(got->head.header("content-encoding") == "br");
}

TEST_CASE("a flushed compressed stream arrives before its end") {
  std::mutex mutex;
  std::condition_variable cv;
  bool go = false;
  const std::string whole = gzip(std::string(200'000, 'a') + "end");
  test_server server([&](peer& p) {
    p.read_request();
    p.send("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n");
    p.send(chunk(whole.substr(0, whole.size() - 30)));
    std::unique_lock lock(mutex);
    cv.wait(lock, [&] { return go; });
    p.send(chunk(whole.substr(whole.size() - 30)) + "0\r\n\r\n");
    p.wait_until_closed();
  });
  http_client client({});
  auto sink = std::make_shared<recorder>();
  client.start(get(server.url()), sink);
  CHECK(sink->wait_body(1));
  {
    std::lock_guard lock(mutex);
    go = true;
  }
  cv.notify_all();
  REQUIRE(sink->wait_finished());
  CHECK(sink->body.size() == 200'003);
  CHECK(sink->largest_piece <= limits::piece_bytes_max);
}

TEST_CASE("redirects: method, body, order") {
  struct expected {
    int status;
    const char* method;
    const char* then;
    bool keeps_body;
  };
  for (const expected& e :
       {expected{301, "POST", "GET", false}, expected{302, "POST", "GET", false},
        expected{303, "POST", "GET", false}, expected{303, "PUT", "GET", false},
        expected{302, "PUT", "PUT", true}, expected{307, "POST", "POST", true},
        expected{308, "POST", "POST", true}, expected{301, "HEAD", "HEAD", false}}) {
    std::string second;
    test_server server([&](peer& p) {
      for (std::string r; !(r = p.read_request()).empty();) {
        if (r.find(" /a/b ") != std::string::npos) {
          p.send(answer(r.compare(0, 4, "HEAD") == 0 ? "" : "moved", "Location: ../c?x=1\r\n",
                        e.status));
        } else {
          second = r;
          p.send(answer(""));
        }
      }
    });
    http_client client({});
    http_request request = get(server.url("/a/b"));
    request.method = e.method;
    request.headers = {{"Authorization", "Bearer k"}, {"Content-Type", "text/plain"}};
    if (std::string(e.method) != "HEAD") request.body = "data";
    auto got = fetch(client, request);
    REQUIRE(got->result.status == RAI_OK);
    CHECK(got->final_url == server.url("/c?x=1"));
    CHECK(second.substr(0, second.find(' ')) == e.then);
    CHECK((second.find("\r\n\r\ndata") != std::string::npos) == e.keeps_body);
    CHECK(header_of(second, "authorization") == "Bearer k");
    CHECK(header_of(second, "content-type").empty() == (!e.keeps_body && request.body == "data"));
    CHECK(got->body.empty());
    CHECK(server.connections() == 1);
  }
}

TEST_CASE("a redirect to another origin loses the credentials") {
  std::string seen;
  test_server other([&](peer& p) {
    seen = p.read_request();
    p.send(answer("there"));
    p.wait_until_closed();
  });
  test_server server([&](peer& p) {
    p.read_request();
    p.send(answer("", "Location: " + other.url("/x") + "\r\n", 307));
    p.wait_until_closed();
  });
  http_client client({});
  http_request request = get(server.url());
  request.headers = {{"Authorization", "Bearer k"},   {"cookie", "c"},
                     {"X-Api-Key", "s", true},        {"X-Gateway-Auth", "g"},
                     {"Accept", "text/event-stream"}, {"Host", "my.name"}};
  CHECK(fetch(client, request)->body == "there");
  CHECK(header_of(seen, "authorization").empty());
  CHECK(header_of(seen, "cookie").empty());
  CHECK(header_of(seen, "x-api-key").empty());
  CHECK(header_of(seen, "x-gateway-auth").empty());
  CHECK(header_of(seen, "accept") == "text/event-stream");
  CHECK(header_of(seen, "host") == "localhost:" + std::to_string(other.port()));
}

TEST_CASE("redirects end") {
  test_server server(always(answer("", "Location: /again\r\n", 302)));
  http_client client({});
  auto loop = fetch(client, get(server.url()));
  CHECK(loop->result.status == RAI_UNAVAILABLE);
  CHECK(loop->result.kind == "redirect");
  http_request none = get(server.url());
  none.max_redirects = 0;
  auto handed = fetch(client, none);
  CHECK(handed->result.http_status == 302);
  CHECK(handed->head.header("location") == "/again");
}

TEST_CASE("redirects to what is not HTTP fail") {
  for (const char* location : {"file:///etc/passwd", "http://", "ftp://x/", "http://[::1"}) {
    test_server server(always(answer("", std::string("Location: ") + location + "\r\n", 302)));
    http_client client({});
    auto got = fetch(client, get(server.url()));
    CHECK(got->result.status == RAI_UNAVAILABLE);
    CHECK(got->result.kind == "redirect");
  }
}

TEST_CASE("an http proxy gets the absolute form and its credentials") {
  std::string seen;
  test_server proxy([&](peer& p) {
    for (std::string r; !(r = p.read_request()).empty();) {
      seen = r;
      p.send(answer("by proxy"));
    }
  });
  client_settings settings;
  settings.proxy.http_proxy = "http://user:pa%3Ass@127.0.0.1:" + std::to_string(proxy.port());
  settings.proxy.no_proxy = "direct.test";
  settings.lookup = [](const std::string&, std::uint16_t) { return resolved{{}, "no such name"}; };
  http_client client(settings);
  CHECK(fetch(client, get("http://far.test:8080/x?y"))->body == "by proxy");
  CHECK(seen.substr(0, seen.find("\r\n")) == "GET http://far.test:8080/x?y HTTP/1.1");
  CHECK(header_of(seen, "host") == "far.test:8080");
  CHECK(header_of(seen, "proxy-authorization") == "Basic dXNlcjpwYTpzcw==");
  CHECK(fetch(client, get("http://direct.test/"))->result.kind == "dns");
  CHECK(proxy.connections() == 1);
}

TEST_CASE("a paused sink stops the reading, and resume goes on") {
  constexpr std::size_t total = 32 * 1024 * 1024;
  std::atomic<std::size_t> sent{0};
  test_server server([&](peer& p) {
    p.read_request();
    p.send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(total) + "\r\n\r\n");
    const std::string block(64 * 1024, 'b');
    while (sent < total && p.send(block)) sent += block.size();
    p.wait_until_closed();
  });
  http_client client({});
  auto sink = std::make_shared<recorder>();
  std::mutex mutex;
  std::condition_variable cv;
  int pauses = 0;
  sink->on_piece = [&](std::string_view) {
    std::lock_guard lock(mutex);
    ++pauses;
    cv.notify_all();
    return sink_flow::pause;
  };
  auto handle = client.start(get(server.url()), sink);
  REQUIRE(sink->wait_body(1));
  // While this one is paused another request is served, and nothing more is taken of this one.
  const std::size_t before = sink->body_bytes();
  test_server quick(always(answer("quick")));
  for (int i = 0; i < 10; ++i) REQUIRE(fetch(client, get(quick.url()))->body == "quick");
  CHECK(sink->body_bytes() == before);
  CHECK(sent < total);
  std::unique_lock lock(mutex);
  for (int resumed = 0;;) {
    const bool more = cv.wait_for(lock, std::chrono::seconds(20), [&] { return pauses > resumed; });
    REQUIRE(more);
    resumed = pauses;
    lock.unlock();
    handle.resume();
    const bool whole = sink->body_bytes() == total;
    lock.lock();
    if (whole) break;
  }
  lock.unlock();
  REQUIRE(sink->wait_finished());
  CHECK(sink->result.status == RAI_OK);
  CHECK(sink->result.body_bytes == total);
  CHECK(sink->largest_piece <= limits::piece_bytes_max);
}

TEST_CASE("many small chunks come in few pieces") {
  constexpr int count = 10'000;
  std::string text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < count; ++i) text += chunk("data: {\"x\":" + std::to_string(i % 10) + "}\n\n");
  text += "0\r\n\r\n";
  test_server server([&](peer& p) {
    p.read_request();
    p.send(text);
    p.wait_until_closed();
  });
  http_client client({});
  auto got = fetch(client, get(server.url()));
  CHECK(got->result.status == RAI_OK);
  CHECK(got->body.size() == count * std::string("data: {\"x\":1}\n\n").size());
  CHECK(got->pieces < count / 20);
}

TEST_CASE("a large upload arrives") {
  std::size_t received = 0;
  test_server server([&](peer& p) {
    received = p.read_request().size();
    p.send(answer("ok"));
    p.wait_until_closed();
  });
  http_client client({});
  http_request request = get(server.url());
  request.method = "PUT";
  request.body.assign(20 * 1024 * 1024, 'u');
  CHECK(fetch(client, request)->body == "ok");
  CHECK(received > 20 * 1024 * 1024);
}

TEST_CASE("the body's limit counts what is decompressed") {
  test_server server(
      always(answer(gzip(std::string(1'000'000, 'z')), "Content-Encoding: gzip\r\n")));
  http_client client({});
  http_request request = get(server.url());
  request.max_body_bytes = 999'999;
  auto got = fetch(client, request);
  CHECK(got->result.status == RAI_RESOURCE_EXHAUSTED);
  CHECK(got->result.kind == "body");
  CHECK(got->body.size() <= 999'999);
  request.max_body_bytes = 1'000'000;
  CHECK(fetch(client, request)->result.status == RAI_OK);
}
