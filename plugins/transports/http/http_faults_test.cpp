// What a client does with servers and networks that misbehave.
#include <doctest/doctest.h>

#include "test_server.hpp"

using namespace rustic::http;
using namespace rustic::http::testing;
using std::chrono::milliseconds;

namespace {

constexpr milliseconds brief{60};

// Answers with these bytes, then closes.
test_server::script once(std::string bytes) {
  return [bytes = std::move(bytes)](peer& p) {
    p.read_request();
    p.send(bytes);
    p.close();
  };
}

outcome fetch_once(const std::string& bytes) {
  test_server server(once(bytes));
  http_client client({});
  auto got = fetch(client, get(server.url()));
  CHECK(got->finishes == 1);
  return got->result;
}

}  // namespace

TEST_CASE("a cut after any byte is never a complete answer") {
  const std::string chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" +
                              chunk("data: one\n\n") + chunk("data: two\n\n") + "0\r\n\r\n";
  const std::string counted = answer("data: one\n\ndata: two\n\n");
  const std::string zipped = answer(gzip("some text"), "Content-Encoding: gzip\r\n");
  for (const auto* text : {&chunked, &counted, &zipped}) {
    for (std::size_t cut = 0; cut < text->size(); ++cut) {
      const outcome got = fetch_once(text->substr(0, cut));
      REQUIRE(got.status == RAI_UNAVAILABLE);
      const bool known = got.kind == "truncated" || got.kind == "reset";
      REQUIRE(known);
      REQUIRE(!got.message.empty());
    }
  }
}

TEST_CASE("what came before the cut is delivered") {
  test_server server(once("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npartial"));
  http_client client({});
  auto got = fetch(client, get(server.url()));
  CHECK(got->result.kind == "truncated");
  CHECK(got->body == "partial");
  CHECK(got->result.body_bytes == 7);
  CHECK(got->result.http_status == 200);
}

TEST_CASE("a compressed body that ends early or is damaged") {
  const std::string whole = gzip(std::string(1000, 'x') + "tail");
  const outcome cut =
      fetch_once(answer(whole.substr(0, whole.size() - 9), "Content-Encoding: gzip\r\n"));
  CHECK(cut.status == RAI_UNAVAILABLE);
  CHECK(cut.kind == "truncated");
  std::string damaged = whole;
  damaged[damaged.size() - 6] = static_cast<char>(damaged[damaged.size() - 6] ^ 0x55);
  CHECK(fetch_once(answer(damaged, "Content-Encoding: gzip\r\n")).kind == "protocol");
  CHECK(fetch_once(answer("not gzip", "Content-Encoding: gzip\r\n")).kind == "protocol");
}

TEST_CASE("answers that are not HTTP/1") {
  const std::string head = "HTTP/1.1 200 OK\r\n";
  std::string many_fields = head;
  for (int i = 0; i < 5000; ++i) many_fields += "a: b\r\n";
  std::string interim;
  for (int i = 0; i < 100; ++i) interim += "HTTP/1.1 100 Continue\r\n\r\n";
  const std::string chunked = head + "Transfer-Encoding: chunked\r\n\r\n";
  for (const std::string& bytes :
       {std::string("garbage\r\n\r\n"),
        std::string("SSH-2.0-OpenSSH_9.2\r\n"),
        std::string("HTTP/3.9 200 OK\r\n\r\n"),
        std::string("HTTP/1.1 9999 OK\r\n\r\n"),
        std::string(3000, '\0'),
        head + "no colon\r\n\r\n",
        head + "bad\x01name: x\r\n\r\n",
        head + "X: " + std::string(1 << 20, 'v') + "\r\n\r\n",
        "HTTP/1.1 200 " + std::string(1 << 20, 'r') + "\r\n\r\n",
        many_fields + "\r\n",
        interim + answer("x"),
        std::string("HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n"),
        head + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        head + "Content-Length: -5\r\n\r\nhello",
        head + "Content-Length: 5x\r\n\r\nhello",
        head + "Content-Length: 99999999999999999999999\r\n\r\nhello",
        head + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        chunked + "zz\r\nhello",
        chunked + "5\r\nhelloXX0\r\n\r\n",
        chunked + "fffffffffffffffffffff\r\nhello",
        chunked + "5;" + std::string(40'000, 'e') + "\r\nhello",
        chunked + "0\r\n" + "T: " + std::string(200'000, 't') + "\r\n\r\n"}) {
    const outcome got = fetch_once(bytes);
    INFO(bytes.substr(0, 60));
    CHECK(got.status == RAI_UNAVAILABLE);
    CHECK(got.kind == "protocol");
  }
}

TEST_CASE("bytes behind the answer end the connection's use") {
  test_server server([](peer& p) {
    p.read_request();
    p.send(answer("right") + "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    p.wait_until_closed();
  });
  http_client client({});
  CHECK(fetch(client, get(server.url()))->body == "right");
  CHECK(fetch(client, get(server.url()))->body == "right");
  CHECK(server.connections() == 2);
}

TEST_CASE("a pooled connection that has gone is replaced once") {
  SUBCASE("closed while it was idle") {
    test_server server([&](peer& p) {
      p.read_request();
      p.send(answer("x"));
      p.close();
    });
    http_client client({});
    for (int i = 0; i < 5; ++i) CHECK(fetch(client, get(server.url()))->body == "x");
    CHECK(server.connections() == 5);
  }
  SUBCASE("reset when the next request came") {
    std::atomic<int> requests{0};
    test_server server([&](peer& p) {
      p.read_request();
      ++requests;
      p.send(answer("x"));
      if (p.read_request().empty()) return;
      ++requests;
      p.reset();
    });
    http_client client({});
    CHECK(fetch(client, get(server.url()))->body == "x");
    http_request post = get(server.url());
    post.method = "POST";
    post.body = "again";
    CHECK(fetch(client, post)->body == "x");
    CHECK(server.connections() == 2);
    CHECK(requests == 3);
  }
  SUBCASE("not when a byte of the answer had come") {
    test_server server([&](peer& p) {
      p.read_request();
      p.send(answer("x"));
      p.read_request();
      p.send("H");
      p.close();
    });
    http_client client({});
    CHECK(fetch(client, get(server.url()))->body == "x");
    CHECK(fetch(client, get(server.url()))->result.kind == "truncated");
    CHECK(server.connections() == 1);
  }
  SUBCASE("not twice") {
    test_server server([&](peer& p) {
      p.read_request();
      if (p.number() > 0) return p.reset();
      p.send(answer("x"));
      p.read_request();
      p.reset();
    });
    http_client client({});
    CHECK(fetch(client, get(server.url()))->body == "x");
    const auto got = fetch(client, get(server.url()))->result;
    CHECK(got.status == RAI_UNAVAILABLE);
    CHECK(got.kind == "reset");
    CHECK(server.connections() == 2);
  }
}

TEST_CASE("a fresh connection that is reset is not tried again") {
  test_server server([](peer& p) {
    p.read_request();
    p.reset();
  });
  http_client client({});
  CHECK(fetch(client, get(server.url()))->result.kind == "reset");
  CHECK(server.connections() == 1);
}

TEST_CASE("each timeout names its kind") {
  SUBCASE("first byte") {
    test_server server([](peer& p) { p.wait_until_closed(); });
    http_client client({});
    http_request request = get(server.url("/secret?key=hidden"));
    request.first_byte_timeout = brief;
    const auto got = fetch(client, request)->result;
    CHECK(got.status == RAI_DEADLINE_EXCEEDED);
    CHECK(got.kind == "first_byte");
    CHECK(got.message.find("GET localhost:") == 0);
    CHECK(got.message.find("hidden") == std::string::npos);
    CHECK(!got.hint.empty());
  }
  SUBCASE("idle in the headers") {
    test_server server([](peer& p) {
      p.read_request();
      p.send("HTTP/1.1 2");
      p.wait_until_closed();
    });
    http_client client({});
    http_request request = get(server.url());
    request.idle_timeout = brief;
    CHECK(fetch(client, request)->result.kind == "idle");
  }
  SUBCASE("idle in the body, counted from each byte") {
    test_server server([](peer& p) {
      p.read_request();
      p.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome");
      p.wait_until_closed();
    });
    http_client client({});
    http_request request = get(server.url());
    request.idle_timeout = brief;
    auto got = fetch(client, request);
    CHECK(got->result.status == RAI_DEADLINE_EXCEEDED);
    CHECK(got->result.kind == "idle");
    CHECK(got->body == "some");
  }
  SUBCASE("idle while sending") {
    gate end;
    test_server server([&](peer&) { end.pass(); });
    http_client client({});
    http_request request = get(server.url());
    request.method = "POST";
    request.body.assign(64 * 1024 * 1024, 'x');
    request.idle_timeout = brief;
    CHECK(fetch(client, request)->result.kind == "idle");
    end.open();
  }
  SUBCASE("connect") {
    hung_listener hung;
    http_client client({});
    http_request request = get(hung.url());
    request.connect_timeout = brief;
    const auto got = fetch(client, request)->result;
    CHECK(got.status == RAI_DEADLINE_EXCEEDED);
    CHECK(got.kind == "connect");
  }
  SUBCASE("name look-up") {
    gate end;
    client_settings settings;
    settings.lookup = [&](const std::string&, std::uint16_t) {
      end.pass();
      return resolved{{}, "late"};
    };
    http_client client(settings);
    http_request request = get("http://slow.test/");
    request.connect_timeout = brief;
    const auto got = fetch(client, request)->result;
    end.open();
    CHECK(got.status == RAI_DEADLINE_EXCEEDED);
    CHECK(got.kind == "connect");
  }
}

TEST_CASE("refused, unknown") {
  std::uint16_t port = 0;
  {
    port = test_server([](peer&) {}).port();
  }
  client_settings settings;
  settings.lookup = [](const std::string&, std::uint16_t) { return resolved{{}, "no such name"}; };
  http_client client(settings);
  auto refused = fetch(client, get("http://127.0.0.1:" + std::to_string(port) + "/"))->result;
  CHECK(refused.status == RAI_UNAVAILABLE);
  CHECK(refused.kind == "connect");
  CHECK(refused.message.find("refused") != std::string::npos);
  auto unknown = fetch(client, get("http://unknown.test/"))->result;
  CHECK(unknown.status == RAI_UNAVAILABLE);
  CHECK(unknown.kind == "dns");
  CHECK(unknown.message.find("unknown.test") != std::string::npos);
}

TEST_CASE("requests that must not be sent") {
  http_client client({});
  for (const char* url :
       {"", "x", "ftp://a/", "http://", "http:///x", "http://a b/", "http://a/\r\nX: y",
        "http://a/ b", "http://a:0/", "http://a:99999/", "http://u:p@a/", "http://[::1/",
        "http://a\nb/", "http://b\xc3\xbc.de/"}) {
    const auto got = fetch(client, get(url))->result;
    INFO(url);
    CHECK(got.status == RAI_INVALID_ARGUMENT);
    CHECK(got.message.find("u:p") == std::string::npos);
  }
  struct bad {
    const char* name;
    const char* value;
  };
  for (const bad& b :
       {bad{"X", "a\r\nEvil: 1"}, bad{"X", "a\nb"}, bad{"X", "a\rb"}, bad{"X\r\nE", "v"},
        bad{"", "v"}, bad{"X y", "v"}, bad{"Content-Length", "5"},
        bad{"transfer-encoding", "chunked"}, bad{"X", "\x01"}}) {
    http_request request = get("http://127.0.0.1:1/");
    request.headers = {{b.name, b.value}};
    const auto got = fetch(client, request)->result;
    CHECK(got.status == RAI_INVALID_ARGUMENT);
    CHECK(got.message.find("Evil") == std::string::npos);
  }
  http_request method = get("http://127.0.0.1:1/");
  method.method = "GET / HTTP/1.1\r\nX:";
  CHECK(fetch(client, method)->result.status == RAI_INVALID_ARGUMENT);
}

TEST_CASE("the next address is tried when one hangs or refuses") {
  test_server server([](peer& p) {
    p.read_request();
    p.send(answer("reached"));
  });
  hung_listener hung;
  std::uint16_t dead = 0;
  {
    dead = test_server([](peer&) {}).port();
  }
  client_settings settings;
  settings.lookup = [&](const std::string&, std::uint16_t) {
    return resolved{
        {loopback(dead), loopback(hung.port()), loopback(dead), loopback(server.port())}, {}};
  };
  http_client client(settings);
  CHECK(fetch(client, get("http://several.test/"))->body == "reached");
}

TEST_CASE("an answer that comes before the upload has ended is received") {
  for (const bool closes : {false, true}) {
    test_server server([&](peer& p) {
      p.send(answer("too large", "Connection: close\r\n", 413));
      if (closes) {
        p.close();
      } else {
        p.wait_until_closed();
      }
    });
    http_client client({});
    http_request request = get(server.url());
    request.method = "POST";
    request.body.assign(64 * 1024 * 1024, 'x');
    auto got = fetch(client, request);
    // When the server closes with unread data its RST may overtake the answer.
    if (!closes || got->result.status == RAI_OK) {
      CHECK(got->result.http_status == 413);
      CHECK(got->body == "too large");
    } else {
      CHECK(got->result.kind == "reset");
    }
  }
}
