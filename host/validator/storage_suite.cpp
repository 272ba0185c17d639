// storage_suite.cpp - the cases of docs/interfaces/storage.md, nastiest first inside each group.
#include "host/validator/storage_suite.hpp"

#include <algorithm>
#include <atomic>
#include <iterator>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

namespace rustic::contract {
namespace {
// What a case found; it ends there.
struct broken : std::runtime_error {
  using std::runtime_error::runtime_error;
};
std::string cut(std::string_view text) {
  return text.size() <= 200 ? std::string(text) : std::string(text.substr(0, 200)) + "...";
}

class client {
 public:
  explicit client(storage_backend backend) : backend_(std::move(backend)) {}

  // The call must succeed; gives the result.
  json::object ok(std::string_view method, std::string_view request) const {
    const auto [status, body] = say_what(method, request);
    if (status != status_code::ok) wrong("OK", status, body);
    return parse_object(body);
  }
  // The call must fail with that status; gives the error's body.
  json::object fails(status_code expected, std::string_view method,
                     std::string_view request) const {
    const auto [status, body] = say_what(method, request);
    if (status != expected) wrong(status_name(expected), status, body);
    auto result = parse_object(body);
    if (text_or(result, "message").empty()) wrong("a message in the error", status, body);
    return result;
  }
  const std::string& last() const noexcept { return last_; }
  std::string text(std::string_view method, std::string_view request) const {
    return say_what(method, request).second;
  }
  void session(std::string_view id, std::int64_t updated_at_ms = 1, std::string more = "") const {
    ok("session.create", R"({"session":{"id":")" + std::string(id) +
                             R"(","created_at_ms":1,"updated_at_ms":)" +
                             std::to_string(updated_at_ms) + more + "}}");
  }
  json::object say(std::string_view id, std::string_view words, std::int64_t at_ms = 1) const {
    return ok("messages.append",
              R"({"session":")" + std::string(id) +
                  R"(","messages":[{"role":"user","parts":[{"type":"text","text":")" +
                  std::string(words) + R"("}],"created_at_ms":)" + std::to_string(at_ms) + "}]}");
  }

 private:
  std::pair<status_code, std::string> say_what(std::string_view method,
                                               std::string_view request) const {
    last_ = std::string(method) + " " + cut(request);
    auto got = backend_(method, request);
    last_ += " gave " + std::string(status_name(got.first)) + " " + cut(got.second);
    return got;
  }
  [[noreturn]] void wrong(std::string_view expected, status_code, const std::string&) const {
    throw broken("expected " + std::string(expected) + ": " + last_);
  }

  storage_backend backend_;
  mutable std::string last_;  // for what a case says about the newest call
};

// The condition as it is written is the best description of what a case expects.
#define CHECK(...) \
  if (!(__VA_ARGS__)) throw broken("expected " #__VA_ARGS__ "; last call: " + storage.last())
#define CHECK_NOT(...) \
  if (__VA_ARGS__) throw broken("expected not " #__VA_ARGS__ "; last call: " + storage.last())

std::int64_t at(const json::object& object, std::string_view key) {
  return int_or(object, key, -1);
}
std::vector<std::int64_t> seqs(const json::object& result, std::string_view list) {
  std::vector<std::int64_t> found;
  for (const auto& one : array_or_empty(result, list)) found.push_back(at(one.as_object(), "seq"));
  return found;
}
std::vector<std::string> texts(const json::object& result, std::string_view list,
                               std::string_view key) {
  std::vector<std::string> found;
  for (const auto& one : array_or_empty(result, list))
    found.emplace_back(text_or(one.as_object(), key));
  return found;
}
using numbers = std::vector<std::int64_t>;
using words = std::vector<std::string>;

void session_cases(const client& storage) {
  storage.fails(status_code::not_found, "session.get", R"({"id":"a"})");
  storage.session("a", 5, R"(,"title":"T \"q\" \n é","metadata":{"k":[1,2.50]})");
  storage.fails(status_code::already_exists, "session.create",
                R"({"session":{"id":"a","created_at_ms":1,"updated_at_ms":1}})");
  auto found = storage.ok("session.get", R"({"id":"a"})").at("session").as_object();
  CHECK(text_or(found, "title") == "T \"q\" \n é");
  CHECK(at(found, "version") == 1);
  CHECK(at(found, "message_count") == 0);
  CHECK(at(found, "created_at_ms") == 1);
  CHECK(at(found, "updated_at_ms") == 5);
  CHECK_NOT(found.contains("agent"));
  CHECK(storage.text("session.get", R"({"id":"a"})").find("2.50") != std::string::npos);

  found =
      storage
          .ok("session.update",
              R"({"id":"a","expected_version":1,"changes":{"title":null,"agent":"x","updated_at_ms":9}})")
          .at("session")
          .as_object();
  CHECK_NOT(found.contains("title"));
  CHECK(text_or(found, "agent") == "x");
  CHECK(found.contains("metadata"));
  CHECK(at(found, "version") == 2);
  storage.fails(status_code::aborted, "session.update",
                R"({"id":"a","expected_version":1,"changes":{"title":"late"}})");
  found = storage.ok("session.update", R"({"id":"a","changes":{"metadata":null}})")
              .at("session")
              .as_object();
  CHECK_NOT(found.contains("metadata"));
  CHECK_NOT(found.contains("title"));
  storage.fails(status_code::not_found, "session.update", R"({"id":"b","changes":{}})");
  storage.fails(status_code::invalid_argument, "session.update",
                R"({"id":"a","changes":{"id":"b"}})");
  CHECK(storage.ok("session.delete", R"({"id":"b"})").at("deleted") == false);
}

void listing_cases(const client& storage) {
  storage.session("a", 10, R"(,"workspace":"/w")");
  storage.session("c", 30);
  storage.session("b", 30, R"(,"workspace":"/w")");
  storage.session("d", 20);
  CHECK(texts(storage.ok("session.list", "{}"), "sessions", "id") == words{"c", "b", "d", "a"});
  CHECK(texts(storage.ok("session.list", R"({"limit":2})"), "sessions", "id") == words{"c", "b"});
  CHECK(texts(storage.ok("session.list", R"({"before_updated_at_ms":30})"), "sessions", "id") ==
        words{"d", "a"});
  CHECK(texts(storage.ok("session.list", R"({"before_updated_at_ms":30,"before_id":"c"})"),
              "sessions", "id") == words{"b", "d", "a"});
  CHECK(texts(storage.ok("session.list", R"({"workspace":"/w"})"), "sessions", "id") ==
        words{"b", "a"});
  storage.ok("session.update", R"({"id":"a","changes":{"updated_at_ms":40}})");
  CHECK(texts(storage.ok("session.list", R"({"limit":1})"), "sessions", "id") == words{"a"});
}

void deletion_cases(const client& storage) {
  for (const std::string id : {"a", "ab"}) {
    storage.session(id);
    storage.say(id, "hello");
    storage.ok("state.put", R"({"scope":"session:)" + id + R"(","key":"k","value":1})");
    storage.ok("journal.append", R"({"stream":"session:)" + id + R"(/tools","records":[{"n":1}]})");
  }
  CHECK(storage.ok("session.delete", R"({"id":"a"})").at("deleted") == true);
  storage.fails(status_code::not_found, "messages.range", R"({"session":"a"})");
  storage.fails(status_code::not_found, "state.get", R"({"scope":"session:a","key":"k"})");
  CHECK(array_or_empty(storage.ok("journal.read", R"({"stream":"session:a/tools"})"), "records")
            .empty());
  // The session whose name begins with the same letter keeps everything.
  CHECK(seqs(storage.ok("messages.range", R"({"session":"ab"})"), "messages") == numbers{1});
  storage.ok("state.get", R"({"scope":"session:ab","key":"k"})");
  CHECK(seqs(storage.ok("journal.read", R"({"stream":"session:ab/tools"})"), "records") ==
        numbers{1});
  storage.session("a");
  CHECK(at(storage.say("a", "again"), "first_seq") == 1);
  CHECK(array_or_empty(storage.ok("messages.search", R"({"query":"hello","session":"a"})"), "hits")
            .empty());
}

void message_cases(const client& storage) {
  storage.fails(status_code::not_found, "messages.append",
                R"({"session":"a","messages":[{"role":"user","parts":[],"created_at_ms":1}]})");
  storage.session("a");
  const auto two = storage.ok("messages.append",
                              R"({"session":"a","expected_next_seq":1,"messages":[
        {"role":"user","parts":[{"type":"text","text":"x\u0000\ud83d\ude00","n":1.10}],"created_at_ms":5,"metadata":{"m":true}},
        {"role":"assistant","parts":[],"created_at_ms":6}]})");
  CHECK(at(two, "first_seq") == 1);
  CHECK(at(two, "last_seq") == 2);
  const auto conflict = storage.fails(
      status_code::aborted, "messages.append",
      R"({"session":"a","expected_next_seq":1,"messages":[{"role":"user","parts":[],"created_at_ms":1}]})");
  CHECK(at(object_or_empty(conflict, "details"), "next_seq") == 3);
  // One bad message refuses them all.
  storage.fails(status_code::invalid_argument, "messages.append",
                R"({"session":"a","messages":[{"role":"user","parts":[],"created_at_ms":1},
                   {"role":"user","parts":{},"created_at_ms":1}]})");
  for (const char* bad :
       {R"({"session":"a","messages":[]})", R"({"session":"a"})",
        R"({"session":"a","messages":[{"role":"a b","parts":[],"created_at_ms":1}]})",
        R"({"session":"a","messages":[{"role":"user","parts":[],"created_at_ms":"1"}]})",
        R"({"session":"a","messages":[7]})"})
    storage.fails(status_code::invalid_argument, "messages.append", bad);

  const auto text = storage.text("messages.range", R"({"session":"a"})");
  CHECK(text.find(R"([{"type":"text","text":"x\u0000\ud83d\ude00","n":1.10}])") !=
        std::string::npos);
  const auto range = parse_object(text);
  CHECK(range.at("more") == false);
  const auto& messages = array_or_empty(range, "messages");
  CHECK(messages.size() == 2);
  const auto& first = messages[0].as_object();
  CHECK(text_or(first, "role") == "user");
  CHECK(at(first, "created_at_ms") == 5);
  CHECK(first.at("metadata").at("m") == true);
  CHECK(messages[1].at("metadata").as_object().empty());
  CHECK(at(storage.ok("session.get", R"({"id":"a"})").at("session").as_object(), "message_count") ==
        2);
}

void range_cases(const client& storage) {
  storage.session("a");
  storage.session("empty");
  storage.session("z");
  storage.say("z", "other");
  for (int i = 1; i <= 6; ++i) storage.say("a", std::string(1000, 'a'));
  const auto range = [&](const char* more) {
    return storage.ok("messages.range", R"({"session":"a")" + std::string(more) + "}");
  };
  CHECK(seqs(range(""), "messages") == numbers{1, 2, 3, 4, 5, 6});
  CHECK(seqs(range(R"(,"from_seq":2,"to_seq":4)"), "messages") == numbers{2, 3, 4});
  CHECK(range(R"(,"from_seq":2,"to_seq":4)").at("more") == false);
  CHECK(seqs(range(R"(,"from_seq":2,"to_seq":5,"limit":3)"), "messages") == numbers{2, 3, 4});
  CHECK(range(R"(,"from_seq":2,"to_seq":5,"limit":3)").at("more") == true);
  CHECK(seqs(range(R"(,"reverse":true,"limit":2)"), "messages") == numbers{6, 5});
  CHECK(range(R"(,"reverse":true,"limit":2)").at("more") == true);
  CHECK(seqs(range(R"(,"reverse":true,"to_seq":2)"), "messages") == numbers{2, 1});
  CHECK(range(R"(,"reverse":true,"to_seq":2)").at("more") == false);
  CHECK(seqs(range(R"(,"reverse":true,"max_bytes":2500)"), "messages") == numbers{6, 5});
  CHECK(range(R"(,"reverse":true,"max_bytes":2500)").at("more") == true);
  CHECK(seqs(range(R"(,"max_bytes":1)"), "messages") == numbers{1});
  CHECK(seqs(range(R"(,"from_seq":7)"), "messages").empty());
  CHECK(seqs(range(R"(,"from_seq":5,"to_seq":2)"), "messages").empty());
  CHECK(seqs(range(R"(,"to_seq":0)"), "messages").empty());
  CHECK(seqs(range(R"(,"from_seq":9000000000000)"), "messages").empty());
  CHECK(seqs(range(R"(,"to_seq":9000000000000)"), "messages").size() == 6);
  // max_bytes counts the messages' JSON exactly.
  const auto all = storage.text("messages.range", R"({"session":"a","limit":2})");
  const auto exact = all.rfind(']') - all.find('[') - 2;  // two messages and their comma
  CHECK(seqs(range((R"(,"max_bytes":)" + std::to_string(exact)).c_str()), "messages").size() == 2);
  CHECK(seqs(range((R"(,"max_bytes":)" + std::to_string(exact - 1)).c_str()), "messages").size() ==
        1);
  const auto none = storage.ok("messages.range", R"({"session":"empty","reverse":true})");
  CHECK(none.at("messages").as_array().empty());
  CHECK(none.at("more") == false);
  storage.fails(status_code::invalid_argument, "messages.range", R"({"session":"a","limit":0})");
  storage.fails(status_code::invalid_argument, "messages.range",
                R"({"session":"a","from_seq":-1})");
}

void search_cases(const client& storage) {
  storage.session("a");
  storage.session("b");
  storage.say("a", "The Quick brown fox 100% sure", 10);
  storage.say("b", "quick_silver ÄRGER und Жук", 20);
  storage.say("a", "nothing here", 30);
  storage.ok("messages.append",
             R"({"session":"a","messages":[{"role":"user","created_at_ms":40,"parts":[
                {"type":"tool_result","id":"quick","name":"shell","output":"line\nwith \"QUICK\" output"},
                {"type":"image","media_type":"image/png","data":"quickquick"}]}]})");
  const auto find = [&](std::string query, std::string more = "") {
    return storage.ok("messages.search", R"({"query":")" + query + "\"" + more + "}");
  };
  CHECK(seqs(find("quick"), "hits") == numbers{3, 1, 1});
  CHECK(texts(find("QUICK"), "hits", "session") == words{"a", "b", "a"});
  CHECK(seqs(find("quick", R"(,"limit":1)"), "hits") == numbers{3});
  CHECK(texts(find("quick", R"(,"session":"b")"), "hits", "session") == words{"b"});
  CHECK(seqs(find("100%"), "hits") == numbers{1});
  CHECK(seqs(find("k_s"), "hits") == numbers{1});  // no wildcards
  CHECK(seqs(find("ärger"), "hits") == numbers{1});
  CHECK(seqs(find("жУК"), "hits") == numbers{1});
  CHECK(seqs(find("with \\\"quick"), "hits") == numbers{3});
  CHECK(seqs(find("line\\nwith"), "hits") == numbers{3});
  CHECK(seqs(find("tool_result"), "hits").empty());  // the frame is not text
  CHECK(seqs(find("quickquick"), "hits").empty());   // encoded data is not text
  const auto hit = find("fox").at("hits").at(0).as_object();
  CHECK(text_or(hit, "role") == "user");
  CHECK(text_or(hit, "snippet").find("brown fox") != std::string_view::npos);
  storage.fails(status_code::invalid_argument, "messages.search", R"({"query":""})");
  storage.fails(status_code::not_found, "messages.search", R"({"query":"x","session":"none"})");
}

void state_cases(const client& storage) {
  storage.fails(status_code::not_found, "state.get", R"({"scope":"s","key":"k"})");
  storage.fails(status_code::aborted, "state.put",
                R"({"scope":"s","key":"k","value":1,"expected_version":3})");
  const auto made = at(
      storage.ok("state.put", R"({"scope":"s","key":"k","value":{"a": 1.0},"expected_version":0})"),
      "version");
  CHECK(made > 0);
  storage.fails(status_code::aborted, "state.put",
                R"({"scope":"s","key":"k","value":1,"expected_version":0})");
  const auto changed =
      at(storage.ok("state.put", R"({"scope":"s","key":"k","value":null,"expected_version":)" +
                                     std::to_string(made) + "}"),
         "version");
  CHECK(changed > made);
  CHECK(storage.ok("state.get", R"({"scope":"s","key":"k"})").at("value").is_null());
  storage.fails(status_code::aborted, "state.delete",
                R"({"scope":"s","key":"k","expected_version":)" + std::to_string(made) + "}");
  CHECK(storage.ok("state.delete", R"({"scope":"s","key":"k"})").at("deleted") == true);
  CHECK(storage.ok("state.delete", R"({"scope":"s","key":"k"})").at("deleted") == false);
  // A version never comes back, so a writer that saw the old value cannot hit the new one.
  CHECK(at(storage.ok("state.put", R"({"scope":"s","key":"k","value":2})"), "version") > changed);

  for (const char* key : {"a/2", "a/1", "b", "a", "a0"})
    storage.ok("state.put", R"({"scope":"list","value":0,"key":")" + std::string(key) + "\"}");
  storage.ok("state.put", R"({"scope":"list2","value":0,"key":"a/3"})");
  CHECK(texts(storage.ok("state.list", R"({"scope":"list"})"), "entries", "key") ==
        words{"a", "a/1", "a/2", "a0", "b"});
  CHECK(texts(storage.ok("state.list", R"({"scope":"list","prefix":"a/"})"), "entries", "key") ==
        words{"a/1", "a/2"});
  CHECK(texts(storage.ok("state.list", R"({"scope":"list","prefix":"a/","limit":1})"), "entries",
              "key") == words{"a/1"});
  CHECK(array_or_empty(storage.ok("state.list", R"({"scope":"list","prefix":"%"})"), "entries")
            .empty());
  storage.fails(status_code::invalid_argument, "state.put", R"({"scope":"s","key":"k"})");
  storage.fails(status_code::invalid_argument, "state.put", R"({"scope":"s","key":"","value":1})");
}

void journal_cases(const client& storage) {
  CHECK(array_or_empty(storage.ok("journal.read", R"({"stream":"j"})"), "records").empty());
  const auto two = storage.ok("journal.append", R"({"stream":"j","records":[{"n":1},{"n":2.0}]})");
  CHECK(at(two, "first_seq") == 1);
  CHECK(at(two, "last_seq") == 2);
  CHECK(at(storage.ok("journal.append", R"({"stream":"j","records":[{"n":3}]})"), "first_seq") ==
        3);
  const auto read = storage.ok("journal.read", R"({"stream":"j","from_seq":2})");
  CHECK(seqs(read, "records") == numbers{2, 3});
  CHECK(read.at("records").at(1).at("record").at("n") == 3);
  CHECK(read.at("more") == false);
  CHECK(seqs(storage.ok("journal.read", R"({"stream":"j","reverse":true,"limit":2})"), "records") ==
        numbers{3, 2});
  CHECK(storage.ok("journal.read", R"({"stream":"j","reverse":true,"limit":2})").at("more") ==
        true);
  CHECK(seqs(storage.ok("journal.read", R"({"stream":"j","reverse":true,"from_seq":2})"),
             "records") == numbers{2, 1});
  storage.fails(status_code::invalid_argument, "journal.append", R"({"stream":"j","records":[1]})");
  storage.fails(status_code::invalid_argument, "journal.append", R"({"stream":"j","records":[]})");

  CHECK(at(storage.ok("journal.delete", R"({"stream":"j","to_seq":2})"), "deleted") == 2);
  CHECK(seqs(storage.ok("journal.read", R"({"stream":"j"})"), "records") == numbers{3});
  CHECK(at(storage.ok("journal.delete", R"({"stream":"j","to_seq":9})"), "deleted") == 1);
  CHECK(at(storage.ok("journal.append", R"({"stream":"j","records":[{}]})"), "first_seq") == 4);
  CHECK(at(storage.ok("journal.delete", R"({"stream":"j"})"), "deleted") == 1);
  CHECK(at(storage.ok("journal.delete", R"({"stream":"j"})"), "deleted") == 0);
  CHECK(at(storage.ok("journal.append", R"({"stream":"j","records":[{}]})"), "first_seq") == 1);
}

void lease_cases(const client& storage) {
  const auto acquire = [](const char* owner, std::int64_t now_ms) {
    return R"({"name":"l","ttl_ms":100,"owner":")" + std::string(owner) + R"(","now_ms":)" +
           std::to_string(now_ms) + "}";
  };
  const auto with_token = [](std::int64_t token, std::int64_t now_ms) {
    return R"({"name":"l","ttl_ms":100,"token":)" + std::to_string(token) + R"(,"now_ms":)" +
           std::to_string(now_ms) + "}";
  };
  const auto a = at(storage.ok("lease.acquire", acquire("a", 1000)), "token");
  const auto held = storage.fails(status_code::aborted, "lease.acquire", acquire("b", 1099));
  CHECK(text_or(object_or_empty(held, "details"), "owner") == "a");
  CHECK(at(storage.ok("lease.acquire", acquire("a", 1050)), "token") == a);
  storage.fails(status_code::aborted, "lease.acquire", acquire("b", 1149));
  storage.ok("lease.renew", with_token(a, 1100));
  storage.fails(status_code::aborted, "lease.acquire", acquire("b", 1199));
  const auto b = at(storage.ok("lease.acquire", acquire("b", 1200)), "token");
  CHECK(b != a);
  storage.fails(status_code::aborted, "lease.renew", with_token(a, 1201));
  storage.ok("lease.release", with_token(a, 0));  // not his any more: nothing happens
  storage.fails(status_code::aborted, "lease.acquire", acquire("a", 1250));
  storage.ok("lease.release", with_token(b, 0));
  storage.fails(status_code::aborted, "lease.renew", with_token(b, 1250));
  const auto again = at(storage.ok("lease.acquire", acquire("a", 1250)), "token");
  CHECK(again != a);
  CHECK(again != b);
  storage.fails(status_code::invalid_argument, "lease.acquire",
                R"({"name":"l","owner":"a","ttl_ms":0,"now_ms":1})");
}

void apply_cases(const client& storage) {
  storage.session("a");
  storage.say("a", "one");
  storage.ok("state.put", R"({"scope":"s","key":"old","value":"before"})");
  storage.ok("journal.append", R"({"stream":"session:a/j","records":[{},{}]})");
  const auto everything = [&] {
    return storage.text("session.list", "{}") +
           storage.text("messages.range", R"({"session":"a"})") +
           storage.text("state.list", R"({"scope":"s"})") +
           storage.text("state.list", R"({"scope":"session:a"})") +
           storage.text("journal.read", R"({"stream":"session:a/j"})") +
           storage.text("journal.read", R"({"stream":"j"})") +
           storage.text("messages.search", R"({"query":"o"})");
  };
  const auto before = everything();
  // Every kind of change, then a failure: nothing of it stays.
  const auto failed = storage.fails(status_code::aborted, "apply", R"({"operations":[
    {"method":"messages.append","session":"a","messages":[{"role":"user","parts":[{"type":"text","text":"two"}],"created_at_ms":2}]},
    {"method":"session.update","id":"a","changes":{"title":"changed"}},
    {"method":"session.create","session":{"id":"b","created_at_ms":1,"updated_at_ms":1}},
    {"method":"messages.append","session":"b","messages":[{"role":"user","parts":[],"created_at_ms":2}]},
    {"method":"state.put","scope":"s","key":"old","value":"after"},
    {"method":"state.put","scope":"s","key":"new","value":1},
    {"method":"state.delete","scope":"s","key":"old"},
    {"method":"state.put","scope":"session:a","key":"k","value":1},
    {"method":"journal.append","stream":"j","records":[{"n":1}]},
    {"method":"journal.append","stream":"session:a/j","records":[{"n":1}]},
    {"method":"journal.delete","stream":"session:a/j","to_seq":1},
    {"method":"lease.acquire","name":"l","owner":"x","ttl_ms":1000,"now_ms":1},
    {"method":"session.delete","id":"a"},
    {"method":"state.put","scope":"s","key":"x","value":1,"expected_version":77}]})");
  CHECK(at(object_or_empty(failed, "details"), "index") == 13);
  CHECK(everything() == before);
  storage.ok("lease.acquire", R"({"name":"l","owner":"y","ttl_ms":1000,"now_ms":1})");

  const auto done = storage.ok("apply", R"({"operations":[
    {"method":"messages.append","session":"a","messages":[{"role":"user","parts":[],"created_at_ms":2}]},
    {"method":"messages.range","session":"a"},
    {"method":"lease.release","name":"nobody","token":1},
    {"method":"state.put","scope":"s","key":"old","value":"after"}]})");
  const auto& results = array_or_empty(done, "results");
  CHECK(results.size() == 4);
  CHECK(at(results[0].as_object(), "first_seq") == 2);
  CHECK(seqs(results[1].as_object(), "messages") == numbers{1, 2});  // reads see what came before
  CHECK(results[2].as_object().empty());
  CHECK(storage.ok("apply", R"({"operations":[]})").at("results").as_array().empty());

  const auto nested =
      storage.fails(status_code::invalid_argument, "apply",
                    R"({"operations":[{"method":"stats"},{"method":"apply","operations":[]}]})");
  CHECK(at(object_or_empty(nested, "details"), "index") == 1);
  storage.fails(status_code::unimplemented, "apply", R"({"operations":[{"method":"no.such"}]})");
  const auto held = storage.fails(
      status_code::aborted, "apply",
      R"({"operations":[{"method":"stats"},{"method":"lease.acquire","name":"l","owner":"x","ttl_ms":9,"now_ms":2}]})");
  CHECK(text_or(object_or_empty(held, "details"), "owner") == "y");
  CHECK(at(object_or_empty(held, "details"), "index") == 1);
}

void trimming_cases(const client& storage) {  // max_history_size is 5
  storage.session("a");
  for (int i = 1; i <= 7; ++i) storage.say("a", "m" + std::to_string(i));
  CHECK(seqs(storage.ok("messages.range", R"({"session":"a"})"), "messages") ==
        numbers{3, 4, 5, 6, 7});
  CHECK(seqs(storage.ok("messages.range", R"({"session":"a","reverse":true,"to_seq":3})"),
             "messages") == numbers{3});
  CHECK(at(storage.ok("session.get", R"({"id":"a"})").at("session").as_object(), "message_count") ==
        5);
  // A failed apply gives the removed ones back.
  storage.fails(status_code::not_found, "apply", R"({"operations":[
    {"method":"messages.append","session":"a","messages":[{"role":"user","parts":[],"created_at_ms":2},{"role":"user","parts":[],"created_at_ms":2}]},
    {"method":"session.get","id":"none"}]})");
  CHECK(seqs(storage.ok("messages.range", R"({"session":"a"})"), "messages") ==
        numbers{3, 4, 5, 6, 7});
  // More at once than fit.
  std::string many = R"({"session":"a","messages":[)";
  for (int i = 0; i < 12; ++i)
    many += std::string(i == 0 ? "" : ",") + R"({"role":"user","parts":[],"created_at_ms":2})";
  const auto appended = storage.ok("messages.append", many + "]}");
  CHECK(at(appended, "first_seq") == 8);
  CHECK(at(appended, "last_seq") == 19);
  CHECK(seqs(storage.ok("messages.range", R"({"session":"a"})"), "messages") ==
        numbers{15, 16, 17, 18, 19});
  CHECK(at(storage.ok("stats", "{}"), "messages") == 5);
}

void refusal_cases(const client& storage) {
  storage.fails(status_code::unimplemented, "no.such", "{}");
  storage.fails(status_code::unimplemented, "", "{}");
  const std::string deep =
      R"({"scope":"s","key":"k","value":)" + std::string(500, '[') + std::string(500, ']') + "}";
  for (const std::string& bad :
       {std::string("{"), std::string("[]"), std::string("7"), std::string("{} x"),
        std::string("{\"id\":\"\xff\"}"), std::string("nonsense"), std::string("{\"id\":}"), deep,
        std::string(1, '\0')})
    storage.fails(status_code::invalid_argument, "session.get", bad);
  const std::string long_name(2000, 'n');
  for (const std::string& bad : {std::string("{}"), std::string(R"({"id":7})"),
                                 std::string(R"({"id":""})"), std::string(R"({"id":"a\u0000b"})"),
                                 std::string(R"({"id":"a/b"})"), "{\"id\":\"" + long_name + "\"}"})
    storage.fails(status_code::invalid_argument, "session.get", bad);
  // Text that would be SQL, and members nobody knows.
  storage.session(R"(x'; DROP TABLE sessions; --)", 1, R"(,"unknown":[1])");
  storage.ok("session.get", R"({"id":"x'; DROP TABLE sessions; --"})");
}

void large_cases(const client& storage) {
  storage.session("a");
  const std::string large(10'000'000, 'x');
  storage.say("a", large);
  storage.say("a", "small");
  const auto range = storage.ok("messages.range", R"({"session":"a"})");
  CHECK(range.at("messages").as_array().size() == 2);
  CHECK(text_or(range.at("messages").at(0).at("parts").at(0).as_object(), "text") == large);
  CHECK(seqs(storage.ok("messages.range", R"({"session":"a","reverse":true,"max_bytes":1000})"),
             "messages") == numbers{2});
}

void concurrency_cases(const client& storage, const storage_backend& backend) {
  storage.session("a");
  constexpr int threads = 8, turns = 25;
  std::atomic<int> failures{0};
  std::vector<std::thread> running;
  for (int t = 0; t < threads; ++t)
    running.emplace_back([&, t] {
      const auto own = "t" + std::to_string(t);
      for (int i = 0; i < turns; ++i) {
        const auto [status, body] = backend(
            "apply",
            R"({"operations":[{"method":"messages.append","session":"a","messages":[{"role":"user","parts":[],"created_at_ms":1}]},
               {"method":"state.put","scope":"s","key":")" +
                own + R"(","value":)" + std::to_string(i) + "}]}");
        if (status != status_code::ok) ++failures;
        // What an acknowledged write said is there for the next read.
        const auto read = backend("state.get", R"({"scope":"s","key":")" + own + "\"}");
        if (read.second.find("\"value\":" + std::to_string(i)) == std::string::npos) ++failures;
        // One caller's refusal is nobody else's.
        if (backend("session.get", R"({"id":"none"})").first != status_code::not_found) ++failures;
        if (backend("state.put", R"({"scope":"s","key":"x","value":1,"expected_version":999999})")
                .first != status_code::aborted)
          ++failures;
      }
    });
  for (auto& one : running) one.join();
  CHECK(failures == 0);
  const auto found =
      seqs(storage.ok("messages.range", R"({"session":"a","limit":1000})"), "messages");
  CHECK(found.size() == threads * turns);
  CHECK(std::set<std::int64_t>(found.begin(), found.end()).size() == threads * turns);
  CHECK(found.back() == threads * turns);
}

void stats_cases(const client& storage) {
  auto stats = storage.ok("stats", "{}");
  CHECK(at(stats, "sessions") == 0);
  CHECK(at(stats, "messages") == 0);
  CHECK_NOT(text_or(stats, "backend").empty());
  CHECK(stats.contains("schema_version"));
  storage.session("a");
  storage.say("a", "x");
  stats = storage.ok("stats", "");
  CHECK(at(stats, "sessions") == 1);
  CHECK(at(stats, "messages") == 1);
  CHECK(at(stats, "bytes") > 0);
}
#undef CHECK
#undef CHECK_NOT

struct named_case {
  storage_case about;
  storage_setting setting;
  void (*run)(const client& storage, const storage_backend& backend);
};
template <void (*cases)(const client&)>
void alone(const client& storage, const storage_backend&) {
  cases(storage);
}
constexpr named_case table[] = {
    {{"sessions", "sessions"}, {}, alone<session_cases>},
    {{"listing", "listing of sessions"}, {}, alone<listing_cases>},
    {{"deletion", "deletion of a session"}, {}, alone<deletion_cases>},
    {{"messages", "messages"}, {}, alone<message_cases>},
    {{"ranges", "ranges of messages"}, {}, alone<range_cases>},
    {{"search", "search"}, {}, alone<search_cases>},
    {{"state", "state"}, {}, alone<state_cases>},
    {{"journals", "journals"}, {}, alone<journal_cases>},
    {{"leases", "leases"}, {}, alone<lease_cases>},
    {{"apply", "apply: all or nothing"}, {}, alone<apply_cases>},
    {{"trimming", "trimming of long sessions"}, {5}, alone<trimming_cases>},
    {{"refusals", "refusals"}, {}, alone<refusal_cases>},
    {{"large", "large messages"}, {}, alone<large_cases>},
    {{"concurrency", "many callers at once"}, {}, concurrency_cases},
    {{"stats", "figures"}, {}, alone<stats_cases>},
};
}  // namespace

std::vector<storage_case> storage_cases() {
  std::vector<storage_case> out;
  for (const auto& one : table) out.push_back(one.about);
  return out;
}

std::string run_storage_case(std::string_view name, const make_storage& make) {
  const auto found = std::find_if(std::begin(table), std::end(table),
                                  [&](const named_case& one) { return one.about.name == name; });
  if (found == std::end(table)) return "there is no case " + std::string(name);
  try {
    const auto backend = make(found->setting);
    found->run(client(backend), backend);
    return {};
  } catch (const std::exception& problem) {
    return problem.what();
  }
}
}  // namespace rustic::contract
