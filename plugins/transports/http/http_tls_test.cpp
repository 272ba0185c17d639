// TLS and tunnels: what must be refused, what must work, and sessions.
#include <doctest/doctest.h>
#include <openssl/ssl.h>

#include "test_server.hpp"

using namespace rustic::http;
using namespace rustic::http::testing;

namespace {

test_server::script always(std::string text) {
  return [text = std::move(text)](peer& p) {
    while (!p.read_request().empty()) p.send(text);
  };
}

client_settings trusting(const test_certificate& certificate) {
  client_settings settings;
  settings.tls.ca_file = certificate.file();
  return settings;
}

// Reads CONNECT, then copies to the port.
test_server::script tunnel(std::uint16_t port, std::string* seen) {
  return [port, seen](peer& p) {
    *seen = p.read_request();
    p.send("HTTP/1.1 200 Connection established\r\nX: y\r\n\r\n");
    p.tunnel_to(port);
  };
}

}  // namespace

TEST_CASE("a certificate nobody vouches for is refused, and says what to do") {
  test_certificate certificate("DNS:localhost");
  test_server server(always(answer("x")), certificate.context());
  http_client client({});
  auto got = fetch(client, get(server.url()))->result;
  CHECK(got.status == RAI_UNAVAILABLE);
  CHECK(got.kind == "tls");
  CHECK(got.message.find("certificate") != std::string::npos);
  CHECK(got.hint.find("ca_file") != std::string::npos);
}

TEST_CASE("with ca_file it is accepted, by name and by address") {
  test_certificate certificate("DNS:localhost,IP:127.0.0.1");
  test_server server(always(answer("safe")), certificate.context());
  http_client client(trusting(certificate));
  CHECK(fetch(client, get(server.url()))->body == "safe");
  CHECK(fetch(client, get("https://127.0.0.1:" + std::to_string(server.port())))->body == "safe");
  CHECK(fetch(client, get(server.url()))->body == "safe");
  CHECK(server.connections() == 2);
}

TEST_CASE("a certificate for another host is refused") {
  test_certificate certificate("DNS:other.test,DNS:*.wild.test");
  test_server server(always(answer("x")), certificate.context());
  client_settings settings = trusting(certificate);
  settings.lookup = [&](const std::string&, std::uint16_t port) {
    resolved out;
    resolve_at_once("127.0.0.1", port, out);
    return out;
  };
  http_client client(settings);
  const std::string port = std::to_string(server.port());
  for (const char* wrong : {"localhost", "127.0.0.1", "sub.other.test", "a.b.wild.test"}) {
    auto got = fetch(client, get("https://" + std::string(wrong) + ":" + port + "/"))->result;
    CHECK(got.status == RAI_UNAVAILABLE);
    CHECK(got.kind == "tls");
    CHECK(got.message.find("mismatch") != std::string::npos);
    CHECK(got.hint.find("ca_file") == std::string::npos);
  }
  CHECK(fetch(client, get("https://other.test:" + port + "/"))->body == "x");
  CHECK(fetch(client, get("https://OTHER.test.:" + port + "/"))->body == "x");
  CHECK(fetch(client, get("https://a.wild.test:" + port + "/"))->body == "x");
}

TEST_CASE("a certificate out of its time is refused, and the clock is named") {
  for (const long ends_in_s : {-60L, 7200L + 60}) {
    test_certificate certificate("DNS:localhost,IP:127.0.0.1", ends_in_s);
    test_server server(always(answer("x")), certificate.context());
    http_client client(trusting(certificate));
    const std::string port = std::to_string(server.port());
    const auto got = fetch(client, get("https://127.0.0.1:" + port + "/"))->result;
    CHECK(got.status == RAI_UNAVAILABLE);
    CHECK(got.kind == "tls");
    CAPTURE(got.message);
    CHECK(got.message.find(ends_in_s < 0 ? "expired" : "not yet valid") != std::string::npos);
    CHECK(got.hint.find("clock") != std::string::npos);
  }
}

TEST_CASE("ca_file or ca_path that cannot be read is a configuration error") {
  client_settings settings;
  settings.tls.ca_file = "/nonexistent/ca.pem";
  http_client client(settings);
  test_server server([](peer& p) { p.wait_until_closed(); });
  const std::string url = "https://127.0.0.1:" + std::to_string(server.port()) + "/";
  auto got = fetch(client, get(url))->result;
  CHECK(got.status == RAI_FAILED_PRECONDITION);
  CHECK(got.message.find("/nonexistent/ca.pem") != std::string::npos);
  settings.tls = {"", "/nonexistent"};
  http_client other(settings);
  CHECK(fetch(other, get(url))->result.status == RAI_FAILED_PRECONDITION);
}

TEST_CASE("a new connection resumes the session") {
  test_certificate certificate("DNS:localhost");
  std::atomic<int> resumed{0};
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    resumed = 0;
    SSL_CTX_set_max_proto_version(certificate.context(), version);
    test_server server(
        [&](peer& p) {
          resumed += p.resumed() ? 1 : 0;
          p.read_request();
          p.send(answer("x", "Connection: close\r\n"));
          p.close();
        },
        certificate.context());
    http_client client(trusting(certificate));
    for (int i = 0; i < 3; ++i) REQUIRE(fetch(client, get(server.url()))->body == "x");
    CHECK(server.connections() == 3);
    CHECK(resumed == 2);
  }
}

TEST_CASE("a server that does not speak TLS") {
  test_server server([](peer& p) {
    p.send("HTTP/1.1 400 Bad Request\r\n\r\n");
    p.wait_until_closed();
  });
  http_client client({});
  auto got = fetch(client, get("https://localhost:" + std::to_string(server.port()) + "/"))->result;
  CHECK(got.status == RAI_UNAVAILABLE);
  CHECK(got.kind == "tls");
}

TEST_CASE("a TLS handshake that stalls or breaks") {
  test_server silent([](peer& p) { p.wait_until_closed(); });
  http_client client({});
  http_request request = get("https://localhost:" + std::to_string(silent.port()) + "/");
  request.connect_timeout = std::chrono::milliseconds(60);
  auto got = fetch(client, request)->result;
  CHECK(got.status == RAI_DEADLINE_EXCEEDED);
  CHECK(got.kind == "connect");
  test_server rude([](peer& p) {
    p.receive();
    p.reset();
  });
  got = fetch(client, get("https://localhost:" + std::to_string(rude.port()) + "/"))->result;
  CHECK(got.status == RAI_UNAVAILABLE);
  CHECK(got.kind == "tls");
}

TEST_CASE("a body that lasts until the end needs the end of the TLS stream") {
  test_certificate certificate("DNS:localhost");
  for (const bool proper : {true, false}) {
    test_server server(
        [&](peer& p) {
          p.read_request();
          p.send("HTTP/1.1 200 OK\r\n\r\nall of it");
          if (proper) p.close();
        },
        certificate.context());
    http_client client(trusting(certificate));
    auto got = fetch(client, get(server.url()));
    CHECK(got->body == "all of it");
    CHECK((got->result.status == RAI_OK) == proper);
  }
}

TEST_CASE("large bodies both ways, small records together") {
  test_certificate certificate("DNS:localhost");
  constexpr int count = 2'000;
  std::size_t received = 0;
  std::string text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  test_server server(
      [&](peer& p) {
        received = p.read_request().size();
        p.send(text);
        for (int i = 0; i < count; ++i) p.send(chunk("data: some small event\n\n"));
        p.send(chunk(std::string(5'000'000, 'L')));
        p.send("0\r\n\r\n");
        p.wait_until_closed();
      },
      certificate.context());
  http_client client(trusting(certificate));
  http_request request = get(server.url());
  request.method = "POST";
  request.body.assign(8 * 1024 * 1024, 'u');
  auto got = fetch(client, request);
  REQUIRE(got->result.status == RAI_OK);
  CHECK(received > request.body.size());
  CHECK(got->body.size() == count * std::string("data: some small event\n\n").size() + 5'000'000);
  CHECK(got->largest_piece <= limits::piece_bytes_max);
}

TEST_CASE("https through a proxy's tunnel") {
  test_certificate certificate("DNS:far.test");
  test_server server(always(answer("inside")), certificate.context());
  std::string seen;
  test_server proxy(tunnel(server.port(), &seen));
  client_settings settings = trusting(certificate);
  settings.proxy.https_proxy = "http://me:word@localhost:" + std::to_string(proxy.port());
  http_client client(settings);
  CHECK(fetch(client, get("https://far.test/x"))->body == "inside");
  CHECK(fetch(client, get("https://far.test/y"))->body == "inside");
  CHECK(seen.substr(0, seen.find("\r\n")) == "CONNECT far.test:443 HTTP/1.1");
  CHECK(header_of(seen, "proxy-authorization") == "Basic bWU6d29yZA==");
  CHECK(proxy.connections() == 1);
  // The same proxy, another host: the certificate does not match.
  CHECK(fetch(client, get("https://near.test/"))->result.kind == "tls");
}

TEST_CASE("proxies that refuse or are none") {
  struct wrong {
    const char* answer;
    const char* in_message;
  };
  for (const wrong& w :
       {wrong{"HTTP/1.1 407 Auth\r\nContent-Length: 0\r\n\r\n", "407"},
        wrong{"HTTP/1.1 403 No\r\n\r\n", "403"}, wrong{"nonsense\r\n\r\n", "CONNECT"},
        wrong{"HTTP/1.1 200 OK\r\n\r\nearly", "before"}, wrong{"", "CONNECT"}}) {
    test_server proxy([&](peer& p) {
      p.read_request();
      p.send(w.answer);
      p.close();
    });
    client_settings settings;
    settings.proxy.https_proxy = "me:word@localhost:" + std::to_string(proxy.port());
    http_client client(settings);
    auto got = fetch(client, get("https://far.test/"))->result;
    CHECK(got.status == RAI_UNAVAILABLE);
    INFO(got.message);
    CHECK((got.kind == "proxy" || got.kind == "tls"));
    CHECK(got.message.find("word") == std::string::npos);
  }
  client_settings settings;
  settings.proxy.all_proxy = "socks5://me:word@localhost:1";
  http_client client(settings);
  auto got = fetch(client, get("https://far.test/"))->result;
  CHECK(got.status == RAI_FAILED_PRECONDITION);
  CHECK(got.message.find("all_proxy") != std::string::npos);
  CHECK(got.message.find("word") == std::string::npos);
}

TEST_CASE("a redirect does not carry a body from https to http") {
  test_certificate certificate("DNS:localhost");
  test_server plain(always(answer("plain")));
  test_server server(always(answer("", "Location: " + plain.url() + "\r\n", 307)),
                     certificate.context());
  http_client client(trusting(certificate));
  http_request request = get(server.url());
  request.method = "POST";
  request.body = "private";
  CHECK(fetch(client, request)->result.kind == "redirect");
  CHECK(plain.connections() == 0);
  CHECK(fetch(client, get(server.url()))->body == "plain");
}
