// The parts that need no socket: URLs, proxy choice, settings and requests from JSON.
#include <doctest/doctest.h>

#include <rustic/status.hpp>

#include "proxy.hpp"
#include "request_head.hpp"
#include "secret_mask.hpp"
#include "settings.hpp"
#include "url.hpp"

using namespace rustic::http;
namespace json = boost::json;

TEST_CASE("URLs") {
  url u;
  std::string problem;
  REQUIRE(parse_url("HTTPS://Example.COM", url_strictness::exact, u, problem));
  CHECK(u.host == "example.com");
  CHECK(u.port == 443);
  CHECK(u.target == "/");
  CHECK(u.authority() == "example.com");
  REQUIRE(parse_url("http://[2001:DB8::1]:8080?q#f", url_strictness::exact, u, problem));
  CHECK(u.host == "2001:db8::1");
  CHECK(u.target == "/?q");
  CHECK(u.authority() == "[2001:db8::1]:8080");
  REQUIRE(parse_url("http://a/\xc3\xa9?\"<x>", url_strictness::exact, u, problem));
  CHECK(u.target == "/%C3%A9?%22%3Cx%3E");
  CHECK_FALSE(parse_url("http://a/\x7f", url_strictness::exact, u, problem));
  CHECK_FALSE(parse_url("http://a/" + std::string(20'000, 'x'), url_strictness::exact, u, problem));
  CHECK_FALSE(parse_url("http:a/", url_strictness::exact, u, problem));
}

TEST_CASE("locations") {
  url base;
  std::string problem;
  REQUIRE(parse_url("http://h:81/a/b/c?q=1", url_strictness::exact, base, problem));
  struct pair {
    const char* location;
    const char* expected;
  };
  for (const pair& p :
       {pair{"d", "/a/b/d"}, pair{"./d", "/a/b/d"}, pair{"../d", "/a/d"}, pair{"../../../d", "/d"},
        pair{"/x/./y/../z", "/x/z"}, pair{"?n", "/a/b/c?n"}, pair{"#f", "/a/b/c?q=1"},
        pair{"", "/a/b/c?q=1"}, pair{"d?x=../y", "/a/b/d?x=../y"}, pair{"..", "/a/"},
        pair{"with space", "/a/b/with%20space"}, pair{"a:b/../c", nullptr}}) {
    url out;
    const bool ok = resolve_location(base, p.location, out, problem);
    CHECK(ok == (p.expected != nullptr));
    if (!ok) continue;
    CHECK(out.host_port() == "h:81");
    CHECK(out.target == p.expected);
  }
  url out;
  REQUIRE(resolve_location(base, "//other/x", out, problem));
  CHECK(out.host_port() == "other:80");
  REQUIRE(resolve_location(base, "https://u:p@z/x", out, problem));
  CHECK(out.userinfo.empty());
  CHECK(out.secure());
  CHECK_FALSE(resolve_location(base, "/a\r\nX: y", out, problem));
}

TEST_CASE("hosts that a proxy is not used for") {
  const proxy_table table({"http://p:1", "http://p:2", "",
                           " .corp.test, *.wild.test,10.0.0.0/8 "
                           "192.0.2.7,only.test:8443,2001:db8::/32,BIG.test"});
  struct row {
    const char* url;
    bool direct;
  };
  for (const row& r : {row{"http://localhost/", true}, row{"http://x.localhost/", true},
                       row{"http://127.1.2.3/", true}, row{"http://[::1]/", true},
                       row{"http://corp.test/", true}, row{"http://a.corp.test/", true},
                       row{"http://acorp.test/", false}, row{"http://a.wild.test/", true},
                       row{"http://10.255.0.1/", true}, row{"http://11.0.0.1/", false},
                       row{"http://192.0.2.7/", true}, row{"http://192.0.2.8/", false},
                       row{"https://only.test:8443/", true}, row{"https://only.test/", false},
                       row{"http://[2001:db8:5::1]/", true}, row{"http://[2001:db9::1]/", false},
                       row{"http://big.TEST/", true}, row{"http://10.example.test/", false}}) {
    url u;
    std::string problem;
    REQUIRE(parse_url(r.url, url_strictness::exact, u, problem));
    INFO(r.url);
    CHECK(table.bypassed(u) == r.direct);
  }
  url u;
  std::string problem;
  std::optional<url> chosen;
  REQUIRE(parse_url("https://far.test/", url_strictness::exact, u, problem));
  REQUIRE(table.choose(u, chosen, problem));
  CHECK(chosen->port == 1);
  REQUIRE(proxy_table({"", "http://p:2", "p:3", ""}).choose(u, chosen, problem));
  CHECK(chosen->port == 3);
  REQUIRE(proxy_table({"http://p:1", "", "", "*"}).choose(u, chosen, problem));
  CHECK_FALSE(chosen);
}

TEST_CASE("settings") {
  const auto read = [](const char* text) { return read_settings(json::parse(text).as_object()); };
  const client_settings none = read("{}");
  CHECK(none.connect_timeout == std::chrono::seconds(20));
  CHECK(none.idle_timeout == std::chrono::minutes(15));
  const client_settings some = read(
      R"({"connect_timeout":"500ms","idle_timeout":"2m","max_connections_per_origin":3,
          "https_proxy":"http://p","ca_file":"/c"})");
  CHECK(some.connect_timeout == std::chrono::milliseconds(500));
  CHECK(some.idle_timeout == std::chrono::minutes(2));
  CHECK(some.max_connections_per_origin == 3);
  CHECK(some.proxy.https_proxy == "http://p");
  CHECK(some.tls.ca_file == "/c");
  for (const char* bad : {R"({"connect_timeout":"soon"})", R"({"connect_timeout":"0s"})",
                          R"({"max_connections_per_origin":0})", R"({"user_agent":"a\r\nX: y"})"}) {
    CHECK_THROWS_AS(read(bad), rustic::failure);
  }
}

TEST_CASE("requests") {
  const auto read = [](const char* text) { return read_request(json::parse(text).as_object()); };
  const auto full = read(
      R"({"method":"POST","url":"http://a/","headers":[["A","b"],["Authorization",
          {"prefix":"Bearer ","secret":"env:KEY"}]],"idle_timeout_ms":5,"max_redirects":99,
          "max_body_bytes":7})");
  CHECK(full.request.method == "POST");
  CHECK(full.request.headers.size() == 2);
  CHECK(full.request.headers[1].secret);
  CHECK(full.request.headers[1].value.empty());
  REQUIRE(full.secrets.size() == 1);
  CHECK(full.secrets[0].index == 1);
  CHECK(full.secrets[0].prefix == "Bearer ");
  CHECK(full.secrets[0].reference == "env:KEY");
  CHECK(full.request.idle_timeout == std::chrono::milliseconds(5));
  CHECK_FALSE(full.request.connect_timeout);
  CHECK(full.request.max_redirects == limits::redirects_max);
  CHECK(full.request.max_body_bytes == 7);
  for (const char* bad :
       {"{}", R"({"url":"u","headers":{}})", R"({"url":"u","headers":[["a"]]})",
        R"({"url":"u","headers":[["a",1]]})", R"({"url":"u","headers":[["a",{}]]})",
        R"({"url":"u","idle_timeout_ms":0})", R"({"url":"u","max_redirects":-1})"}) {
    INFO(bad);
    CHECK_THROWS_AS(read(bad), rustic::failure);
  }
}

TEST_CASE("what an outcome and a head look like") {
  outcome ok;
  ok.http_status = 204;
  CHECK(finish_text(ok) == R"({"status":204,"body_bytes":0})");
  outcome bad;
  bad.status = RAI_UNAVAILABLE;
  bad.kind = "dns";
  bad.message = "GET a: no";
  bad.hint = "look";
  bad.body_bytes = 3;
  const json::object text = json::parse(finish_text(bad)).as_object();
  CHECK(text.at("message") == "GET a: no");
  CHECK(text.at("hint") == "look");
  CHECK(text.at("details").at("kind") == "dns");
  CHECK(text.at("details").at("bytes_received") == 3);
  response_head head;
  head.version = "1.1";
  head.headers = {{"a", "b"}, {"latin", "\xe9"}};
  const json::object h = json::parse(head_text(head, "")).as_object();
  CHECK(h.at("headers").at(0).at(1) == "b");
  CHECK(h.at("headers").at(1).at(1) == "\xef\xbf\xbd");
  CHECK_FALSE(h.contains("url"));
}

TEST_CASE("a secret in an error's body is hidden, wherever the pieces split it") {
  const std::string secret = "9f3e7a1b2c4d.9f3e7a1b";
  const std::string body = "{\"message\": \"no such key: " + secret + secret + " 9f3e7a1b2c\"}9f";
  std::string expected = body;
  for (std::size_t at = 0; (at = expected.find(secret)) != std::string::npos;)
    expected.replace(at, secret.size(), secret.size(), '*');
  for (std::size_t size = 1; size <= body.size(); ++size) {
    secret_mask mask;
    mask.hide(secret);
    mask.status(401);
    std::string passed;
    for (std::size_t at = 0; at < body.size(); at += size)
      passed += mask.pass(std::string_view(body).substr(at, size));
    passed += mask.rest();
    CAPTURE(size);
    CHECK(passed == expected);
  }
}

TEST_CASE("an answer proper, and a word that a local server takes for a key, stay as they are") {
  secret_mask mask;
  mask.hide("sk-no-key-required");
  mask.hide("dummy");
  mask.status(200);
  CHECK(mask.pass("write sk-no-key-required, or dummy") == "write sk-no-key-required, or dummy");
  mask.status(400);
  CHECK(mask.pass("not sk-no-key-required, nor dummy") == "not ******************, nor dummy");
  CHECK(mask.rest().empty());
}
