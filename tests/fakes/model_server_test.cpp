#include "model_server.hpp"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <string>
#include <thread>

namespace {

using namespace rustic::fakes;
namespace json = boost::json;

// A client with nothing between it and the socket.
class client {
 public:
  explicit client(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    const timeval patience{10, 0};
    setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    REQUIRE(connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
  }
  ~client() { close(); }
  client(const client&) = delete;
  client& operator=(const client&) = delete;
  void close() {
    if (socket_ >= 0) ::close(socket_);
    socket_ = -1;
  }

  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      REQUIRE(n > 0);
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
  }
  void post(std::string_view body, std::string_view path = "/v1/chat/completions") {
    send("POST " + std::string(path) + " HTTP/1.1\r\nHost: x\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + std::string(body));
  }
  // Until the text `end` has come, or the connection is over.
  std::string read_until(std::string_view end) {
    while (in_.find(end) == std::string::npos) {
      if (!read_some()) break;
    }
    return in_;
  }
  bool read_some() {
    char space[65536];
    const ssize_t n = recv(socket_, space, sizeof(space), 0);
    last_errno = n < 0 ? errno : 0;
    if (n <= 0) return false;
    in_.append(space, static_cast<std::size_t>(n));
    return true;
  }
  std::string read_all() {
    while (read_some()) {
    }
    return in_;
  }
  struct answer {
    int status = 0;
    std::string head, body;
    bool whole = false;
  };
  // One answer with its length or its chunks.
  answer read() {
    answer out;
    read_until("\r\n\r\n");
    const std::size_t end = in_.find("\r\n\r\n");
    if (end == std::string::npos) return out;
    out.head = in_.substr(0, end + 2);
    in_.erase(0, end + 4);
    out.status = std::stoi(out.head.substr(9, 3));
    if (out.head.find("chunked") != std::string::npos) {
      for (;;) {
        while (in_.find("\r\n") == std::string::npos) {
          if (!read_some()) return out;
        }
        const std::size_t line = in_.find("\r\n");
        const std::size_t size = std::stoul(in_.substr(0, line), nullptr, 16);
        while (in_.size() < line + 4 + size) {
          if (!read_some()) {
            out.body += in_.substr(line + 2);
            return out;
          }
        }
        out.body += in_.substr(line + 2, size);
        in_.erase(0, line + 4 + size);
        if (size == 0) break;
      }
    } else {
      const std::size_t at = out.head.find("Content-Length: ");
      const std::size_t size = at == std::string::npos ? 0 : std::stoul(out.head.substr(at + 16));
      while (in_.size() < size) {
        if (!read_some()) return out;
      }
      out.body = in_.substr(0, size);
      in_.erase(0, size);
    }
    out.whole = true;
    return out;
  }
  int last_errno = 0;

 private:
  int socket_;
  std::string in_;
};

const std::string ask =
    R"({"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]})";

std::vector<json::value> events_of(const std::string& body) {
  std::vector<json::value> out;
  std::size_t at = 0;
  while ((at = body.find("data: ", at)) != std::string::npos) {
    const std::size_t end = body.find("\n\n", at);
    const std::string data = body.substr(at + 6, end - at - 6);
    if (data != "[DONE]") out.push_back(json::parse(data));
    at = end;
  }
  return out;
}

std::string text_of(const std::string& body) {
  std::string out;
  for (const json::value& event : events_of(body)) {
    const json::array& choices = event.at("choices").as_array();
    if (choices.empty()) continue;
    if (const auto* piece = choices[0].at("delta").as_object().if_contains("content")) {
      out += std::string_view(piece->as_string());
    }
  }
  return out;
}

std::string gunzip(const std::string& bytes) {
  z_stream state{};
  REQUIRE(inflateInit2(&state, 15 + 32) == Z_OK);
  state.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  state.avail_in = static_cast<uInt>(bytes.size());
  std::string out;
  char space[4096];
  int status = Z_OK;
  while (status == Z_OK) {
    state.next_out = reinterpret_cast<Bytef*>(space);
    state.avail_out = sizeof(space);
    status = inflate(&state, Z_SYNC_FLUSH);
    out.append(space, sizeof(space) - state.avail_out);
  }
  inflateEnd(&state);
  CHECK(status == Z_STREAM_END);
  return out;
}

}  // namespace

TEST_CASE("text, tool calls, usage, on one connection, and a record of each request") {
  script what = parse_script(R"([
    {"text": ["Hel", "lo"], "reasoning": "hm", "usage": {"prompt_tokens": 7, "completion_tokens": 2}},
    {"tool_calls": [{"name": "a", "arguments": {"x": "0123456789012345678\u00e9\u00e9"}}, {"name": "b", "id": "mine"}]}])");
  model_server server(std::move(what));
  client talk(server.port());
  talk.post(ask);
  const auto first = talk.read();
  REQUIRE(first.whole);
  CHECK(first.status == 200);
  CHECK(first.head.find("Content-Type: text/event-stream") != std::string::npos);
  CHECK(text_of(first.body) == "Hello");
  CHECK(first.body.find(R"("reasoning_content":"hm")") != std::string::npos);
  CHECK(first.body.find(R"("prompt_tokens":7)") != std::string::npos);
  CHECK(first.body.ends_with("data: [DONE]\n\n"));

  talk.post(ask);
  const auto second = talk.read();
  std::string arguments[2];
  std::vector<std::string> ids;
  for (const json::value& event : events_of(second.body)) {
    const json::array& choices = event.at("choices").as_array();
    if (choices.empty()) continue;
    const auto* calls = choices[0].at("delta").as_object().if_contains("tool_calls");
    if (calls == nullptr) continue;
    const json::object& call = calls->at(0).as_object();
    arguments[call.at("index").as_int64()] += call.at("function").at("arguments").as_string();
    if (const auto* id = call.if_contains("id")) ids.emplace_back(id->as_string());
  }
  CHECK(arguments[0] == "{\"x\":\"0123456789012345678\xC3\xA9\xC3\xA9\"}");
  CHECK(arguments[1] == "{}");
  CHECK(ids == std::vector<std::string>{"call_1_0", "mine"});
  CHECK(second.body.find(R"("finish_reason":"tool_calls")") != std::string::npos);

  talk.post(ask);
  CHECK(talk.read().status == 500);  // the script is over, and says so

  REQUIRE(server.wait_until_done(3));
  const auto records = server.requests();
  REQUIRE(records.size() == 3);
  CHECK(records[0].connection == records[2].connection);
  CHECK(records[1].json().at("model") == "m");
  CHECK(records[0].header("host") == "x");
  for (const auto& one : records) {
    CHECK(one.done);
    CHECK(one.received_first_ns > 0);
    CHECK(one.received_first_ns <= one.received_last_ns);
    CHECK(one.received_last_ns <= one.sent_first_ns);
    CHECK(one.sent_first_ns <= one.sent_last_ns);
  }
}

TEST_CASE("a request that asks for no stream gets one object") {
  model_server server(parse_script(R"([{"text": ["a", "b"], "tool_calls": [{"name": "n"}]}])"));
  client talk(server.port());
  talk.post(R"({"model":"m","messages":[]})");
  const auto got = talk.read();
  CHECK(got.head.find("application/json") != std::string::npos);
  const json::value body = json::parse(got.body);
  CHECK(body.at("choices").at(0).at("message").at("content") == "ab");
  CHECK(body.at("choices").at(0).at("message").at("tool_calls").at(0).at("function").at("name") ==
        "n");
}

TEST_CASE("requests in pieces, in chunks, and several at once") {
  script what = parse_script(R"([{"text": "ok", "times": 0}])");
  model_server server(std::move(what));
  client talk(server.port());
  const std::string request =
      "POST /v1/chat/completions HTTP/1.1\r\ncontent-length: " + std::to_string(ask.size()) +
      "\r\n\r\n" + ask;
  for (const char c : request) talk.send({&c, 1});
  CHECK(text_of(talk.read().body) == "ok");
  talk.send(
      "POST /v1/chat/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"str\r\n");
  talk.send("c\r\neam\": true }\r\n0\r\n\r\n");
  CHECK(text_of(talk.read().body) == "ok");
  talk.send(request + request);
  CHECK(text_of(talk.read().body) == "ok");
  CHECK(text_of(talk.read().body) == "ok");
  talk.send(
      "POST /v1/chat/completions HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  CHECK(talk.read_until("\r\n\r\n").starts_with("HTTP/1.1 100"));
  REQUIRE(server.wait_until_done(4));
  CHECK(server.requests()[1].body == R"({"stream": true })");
}

TEST_CASE("errors with headers, and what needs no step") {
  model_server server(parse_script(R"([
    {"status": 429, "headers": [["Retry-After", "2"]], "body": {"error": {"message": "slow"}}},
    {"path": "/models", "status": 401, "body": "no"}])"));
  client talk(server.port());
  talk.post(ask);
  const auto refused = talk.read();
  CHECK(refused.status == 429);
  CHECK(refused.head.find("Retry-After: 2\r\n") != std::string::npos);
  CHECK(refused.body == R"({"error":{"message":"slow"}})");
  talk.send("GET /v1/models HTTP/1.1\r\n\r\n");
  CHECK(talk.read().status == 401);
  talk.send("GET /v1/models HTTP/1.1\r\n\r\n");
  CHECK(talk.read().body.find("fake-model") != std::string::npos);
  talk.post(R"({"input":["a","b"]})", "/v1/embeddings");
  CHECK(json::parse(talk.read().body).at("data").as_array().size() == 2);
  talk.send("GET /nothing HTTP/1.1\r\n\r\n");
  CHECK(talk.read().status == 404);
  talk.send("nonsense\r\n\r\n");
  CHECK(talk.read().status == 400);
}

TEST_CASE("the loop is told by the conversation and not by the count of requests") {
  model_server server(script{{step::looping("shell", R"({"command":"true"})", 2, "done")}, {}});
  const std::string result =
      R"(,{"role":"tool","tool_call_id":"c","content":"say \"tool_call_id\""})";
  const auto body = [&](int results) {
    std::string out =
        R"({"stream":true,"messages":[{"role":"tool","tool_call_id":"old","content":""},{"role":"user","content":"go"})";
    for (int i = 0; i < results; ++i) out += result;
    return out + "]}";
  };
  client talk(server.port());
  for (const int results : {0, 2, 1, 0, 5}) {
    talk.post(body(results));
    const auto got = talk.read();
    CAPTURE(results);
    CHECK((got.body.find("shell") != std::string::npos) == (results < 2));
    CHECK((text_of(got.body) == "done") == (results >= 2));
  }
}

TEST_CASE("answers cut after any number of bytes") {
  step whole = step::saying("Hello");
  model_server plain(script{{whole}, {}});
  client first(plain.port());
  first.post(ask);
  const std::string body = first.read().body;
  for (const framing frame : {framing::chunked, framing::length, framing::until_close}) {
    for (std::size_t at = 0; at < body.size(); at += 97) {
      CAPTURE(at);
      step cut = whole;
      cut.frame = frame;
      cut.cut_after_bytes = at;
      model_server server(script{{cut}, {}});
      client talk(server.port());
      talk.post(ask);
      if (frame == framing::until_close) {
        const std::string got = talk.read_all();
        const std::size_t head = got.find("\r\n\r\n") + 4;
        REQUIRE(got.substr(head) == body.substr(0, at));
      } else {
        const auto got = talk.read();
        REQUIRE_FALSE(got.whole);
        if (frame == framing::chunked) REQUIRE(got.body == body.substr(0, at));
      }
      REQUIRE(server.wait_until_done(1));
      REQUIRE(server.requests()[0].body_bytes_sent == at);
    }
  }
}

TEST_CASE("an answer cut with a reset") {
  step cut = step::saying("Hello");
  cut.cut_after_bytes = 50;
  cut.reset = true;
  model_server server(script{{cut}, {}});
  client talk(server.port());
  talk.post(ask);
  talk.read_all();
  CHECK(talk.last_errno == ECONNRESET);
}

TEST_CASE("a stalled answer waits to be released, and notices that nobody listens") {
  step stall = parse_script(R"([{"text": ["a", "b"], "stall_after_events": 2}])").steps[0];
  step head = step::saying("x");
  head.stall_before_head = true;
  model_server server(script{{stall, stall, head}, {}});
  client talk(server.port());
  talk.post(ask);
  const std::string begin = talk.read_until("\"content\":\"a\"");
  CHECK(begin.find("\"content\":\"b\"") == std::string::npos);
  CHECK_FALSE(server.requests()[0].done);
  server.release();
  CHECK(text_of(talk.read().body) == "ab");

  talk.post(ask);
  talk.read_until("\"content\":\"a\"");
  talk.close();
  REQUIRE(server.wait_until_done(2));
  CHECK(server.requests()[1].client_gone);
  CHECK_FALSE(server.requests()[1].done);

  client third(server.port());
  third.post(ask);
  REQUIRE(server.wait_for_requests(3));
  client control(server.port());
  control.post("", "/__release");
  CHECK(control.read().status == 200);
  CHECK(text_of(third.read().body) == "x");
  control.send("GET /__requests HTTP/1.1\r\n\r\n");
  CHECK(json::parse(control.read().body).as_array().size() == 3);
}

TEST_CASE("a server that is stopped leaves nobody waiting") {
  step stall = step::saying("x");
  stall.stall_before_head = true;
  step slow = step::saying("y");
  slow.delay_ms = 3'600'000;
  auto server = std::make_unique<model_server>(script{{stall, slow}, {}});
  client a(server->port());
  client b(server->port());
  client idle(server->port());
  a.post(ask);
  b.post(ask);
  REQUIRE(server->wait_for_requests(2));
  server->stop();
  CHECK(a.read_all().empty());
  CHECK(b.read_all().empty());
  CHECK(idle.read_all().empty());
}

TEST_CASE("gzip, small writes, malformed events, no finish") {
  model_server server(parse_script(R"([
    {"text": ["a", "b"], "gzip": true}, {"text": ["a", "b"], "gzip": true, "piece_delay_ms": 1},
    {"text": "abc", "write_bytes": 1}, {"text": "x", "malformed": true},
    {"text": "x", "no_finish": true, "no_done": true, "no_usage": true},
    {"body": "event: x\r\ndata: 1\r\n\r\n", "content_type": "text/event-stream"},
    {"body": "<html>", "content_type": "text/html", "close": true}])"));
  client talk(server.port());
  for (int i = 0; i < 2; ++i) {
    talk.post(ask);
    const auto got = talk.read();
    CHECK(got.head.find("Content-Encoding: gzip") != std::string::npos);
    CHECK(text_of(gunzip(got.body)) == "ab");
  }
  talk.post(ask);
  CHECK(text_of(talk.read().body) == "abc");
  talk.post(ask);
  CHECK(talk.read().body.find("{\"delta\":\n\n") != std::string::npos);
  talk.post(ask);
  const std::string open = talk.read().body;
  CHECK(open.find("DONE") == std::string::npos);
  CHECK(open.find("finish_reason\":\"") == std::string::npos);
  talk.post(ask);
  CHECK(talk.read().body == "event: x\r\ndata: 1\r\n\r\n");
  talk.post(ask);
  CHECK(talk.read().body == "<html>");
  CHECK_FALSE(talk.read_some());
}

TEST_CASE("ten thousand events at once") {
  model_server server(parse_script(R"([{"text": "token ", "repeat": 10000}])"));
  client talk(server.port());
  talk.post(ask);
  const auto got = talk.read();
  CHECK(got.whole);
  CHECK(events_of(got.body).size() == 10'003);
}

TEST_CASE("many connections at once, and steps chosen by what the request says") {
  script what =
      parse_script(R"([{"match": "red", "text": "R", "times": 0}, {"text": "B", "times": 0}])");
  model_server server(std::move(what));
  std::vector<std::thread> threads;
  std::atomic<int> good{0};
  for (int i = 0; i < 32; ++i) {
    threads.emplace_back([&, i] {
      for (int k = 0; k < 10; ++k) {
        client talk(server.port());
        talk.post(std::string(R"({"stream":true,"q":")") + (i % 2 ? "red" : "blue") + "\"}");
        if (text_of(talk.read().body) == (i % 2 ? "R" : "B")) ++good;
      }
    });
  }
  for (std::thread& one : threads) one.join();
  CHECK(good == 320);
  CHECK(server.wait_until_done(320));
}

TEST_CASE("a function can answer instead of the script") {
  model_server server(parse_script(R"([{"text": "script"}])"));
  server.answer_with([](const received_request& request) -> std::optional<step> {
    if (request.body.find("special") == std::string::npos) return std::nullopt;
    return step::saying("function");
  });
  client talk(server.port());
  talk.post(R"({"stream":true,"special":1})");
  CHECK(text_of(talk.read().body) == "function");
  talk.post(ask);
  CHECK(text_of(talk.read().body) == "script");
}

TEST_CASE("a script with a mistake is refused with its place") {
  const auto problem = [](std::string_view text) -> std::string {
    try {
      parse_script(text);
    } catch (const std::exception& refused) {
      return refused.what();
    }
    return "accepted";
  };
  CHECK(problem("{").find("not JSON") != std::string::npos);
  CHECK(problem("{}").find("no steps") != std::string::npos);
  CHECK(problem(R"([{"text":"a"},{"txt":"b"}])").find("step 1: txt") != std::string::npos);
  CHECK(problem(R"([{"repeat":-1}])").find("step 0: repeat") != std::string::npos);
  CHECK(problem(R"([{"text":["a"],"repeat":99999999}])").find("more events") != std::string::npos);
  CHECK(problem(R"([{"cut":"maybe"}])").find("close or reset") != std::string::npos);
}

TEST_CASE("the program prints its port, serves, writes its requests and ends") {
  const std::string folder = std::to_string(getpid());
  const std::string script_file = "fake_model_" + folder + ".json";
  const std::string requests_file = "fake_model_" + folder + ".jsonl";
  std::ofstream(script_file) << R"([{"text": "hello"}])";
  int out[2];
  REQUIRE(pipe(out) == 0);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, out[1], 1);
  posix_spawn_file_actions_addclose(&actions, out[0]);
  const char* arguments[] = {FAKE_MODEL,
                             "--port",
                             "0",
                             "--script",
                             script_file.c_str(),
                             "--requests",
                             requests_file.c_str(),
                             nullptr};
  pid_t child = 0;
  REQUIRE(posix_spawn(&child, FAKE_MODEL, &actions, nullptr, const_cast<char**>(arguments),
                      environ) == 0);
  posix_spawn_file_actions_destroy(&actions);
  close(out[1]);
  std::string line;
  char c = 0;
  while (read(out[0], &c, 1) == 1 && c != '\n') line += c;
  const auto port = static_cast<std::uint16_t>(json::parse(line).at("port").as_int64());
  {
    client talk(port);
    talk.post(ask);
    CHECK(text_of(talk.read().body) == "hello");
  }
  kill(child, SIGTERM);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  close(out[0]);
  std::ifstream records(requests_file);
  std::string record;
  REQUIRE(std::getline(records, record));
  const json::value one = json::parse(record);
  CHECK(one.at("body").at("model") == "m");
  CHECK(one.at("done") == true);
  CHECK(one.at("sent_last_ns").as_int64() >= one.at("received_first_ns").as_int64());
  unlink(script_file.c_str());
  unlink(requests_file.c_str());
}
