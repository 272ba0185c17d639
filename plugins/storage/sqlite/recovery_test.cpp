#include <doctest/doctest.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <random>

#include "database.hpp"
#include "schema.hpp"
#include "scratch_folder_test.hpp"
#include "sqlite_store.hpp"

using rustic::status_code;
using namespace rustic::storage;
namespace fs = std::filesystem;

namespace {
std::string create(std::string_view id) {
  return R"({"session":{"id":")" + std::string(id) + R"(","created_at_ms":1,"updated_at_ms":1}})";
}
std::string say(std::string_view session, const std::string& words) {
  return R"({"session":")" + std::string(session) +
         R"(","messages":[{"role":"user","created_at_ms":1,"parts":[{"type":"text","text":")" +
         words + "\"}]}]}";
}
std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
void write_file(const std::string& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}
std::int64_t number_in(const sqlite_reply& reply, std::string_view key) {
  return rustic::int_or(rustic::parse_object(reply.body), key, -1);
}
// Runs `work` in a child that dies without closing its store. The child must not use doctest.
void in_crashing_child(const sqlite_settings& settings,
                       const std::function<void(sqlite_store&)>& work) {
  const auto child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    sqlite_store store(settings);
    work(store);
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status));
}
struct fixture {
  scratch_folder folder;
  sqlite_settings settings{.path = folder.path("storage.db")};
  std::string wal = settings.path + "-wal";

  // A file that holds session "a" with `messages`, log written back.
  void fill(int messages) {
    sqlite_store store(settings);
    REQUIRE(store.execute("session.create", create("a")).status == status_code::ok);
    for (int i = 0; i < messages; ++i)
      REQUIRE(store.execute("messages.append", say("a", std::string(2000, 'm'))).status ==
              status_code::ok);
  }
};

// As the first published version made it, with rows of every kind.
constexpr const char* version_1 = R"sql(
PRAGMA auto_vacuum = INCREMENTAL;
CREATE TABLE migrations(version INTEGER PRIMARY KEY, name TEXT NOT NULL, sqlite TEXT NOT NULL) STRICT;
CREATE TABLE sessions(
  number INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  created_at_ms INTEGER NOT NULL,
  updated_at_ms INTEGER NOT NULL,
  version INTEGER NOT NULL DEFAULT 1,
  first_seq INTEGER NOT NULL DEFAULT 1,
  next_seq INTEGER NOT NULL DEFAULT 1,
  title TEXT, agent TEXT, workspace TEXT, parent TEXT, metadata TEXT) STRICT;
CREATE INDEX sessions_by_update ON sessions(updated_at_ms, id);
CREATE TABLE messages(
  session INTEGER NOT NULL REFERENCES sessions(number) ON DELETE CASCADE,
  seq INTEGER NOT NULL,
  role TEXT NOT NULL,
  parts TEXT NOT NULL,
  created_at_ms INTEGER NOT NULL,
  metadata TEXT,
  PRIMARY KEY(session, seq)) STRICT;
CREATE TABLE state(
  scope TEXT NOT NULL, key TEXT NOT NULL, version INTEGER NOT NULL, value TEXT NOT NULL,
  PRIMARY KEY(scope, key)) STRICT;
CREATE TABLE streams(
  number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, next_seq INTEGER NOT NULL DEFAULT 1) STRICT;
CREATE TABLE records(
  position INTEGER PRIMARY KEY, -- stream number << 32 | seq
  record TEXT NOT NULL) STRICT;
CREATE TRIGGER stream_goes AFTER DELETE ON streams BEGIN
  DELETE FROM records WHERE position >= old.number << 32 AND position < (old.number + 1) << 32;
END;
CREATE TABLE leases(
  name TEXT PRIMARY KEY, owner TEXT NOT NULL, token INTEGER NOT NULL,
  expires_at_ms INTEGER NOT NULL) STRICT;
CREATE TABLE counters(name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
INSERT INTO counters VALUES('state_floor', 6), ('lease_token', 4);
INSERT INTO migrations VALUES(1, 'sessions, messages, state, journals, leases', '3.40.1');
INSERT INTO sessions VALUES(3, 'old', 1, 2, 5, 2, 4, 'Title', NULL, '/w', NULL, '{"k":1}');
INSERT INTO messages VALUES(3, 2, 'user', '[{"type":"text","text":"größer"}]', 100, '{"m":"é"}');
INSERT INTO messages VALUES(3, 3, 'assistant', '[{"type":"text","text":"reply"}]', -5, NULL);
INSERT INTO state VALUES('s', 'k', 6, '{"v":1}');
INSERT INTO streams VALUES(2, 'session:old/j', 3);
INSERT INTO records VALUES(2 << 32 | 1, '{"n":1}'), (2 << 32 | 2, '{"n":2}');
INSERT INTO leases VALUES('l', 'me', 4, 1000);
PRAGMA application_id = 1380010289;
PRAGMA user_version = 1;
)sql";
}  // namespace

TEST_CASE_FIXTURE(fixture, "a database of version 1 is brought up to date with all it holds") {
  {
    write_file(settings.path, "");
    connection old(settings.path, 1000);
    old.script(version_1);
  }
  {
    sqlite_store store(settings);
    CHECK(number_in(store.execute("stats", "{}"), "schema_version") == schema_version());
    const auto range = store.execute("messages.range", R"({"session":"old"})").body;
    CHECK(
        range ==
        R"({"messages":[{"seq":2,"role":"user","parts":[{"type":"text","text":"größer"}],"created_at_ms":100,"metadata":{"m":"é"}},)"
        R"({"seq":3,"role":"assistant","parts":[{"type":"text","text":"reply"}],"created_at_ms":-5,"metadata":{}}],"more":false})");
    // The computed sizes are exact: two messages and their comma fit to the byte.
    const auto exact = range.rfind(']') - range.find('[') - 2;
    const auto with = [&](std::size_t bytes) {
      return store
          .execute("messages.range",
                   R"({"session":"old","max_bytes":)" + std::to_string(bytes) + "}")
          .body.find("\"more\":true");
    };
    CHECK(with(exact) == std::string::npos);
    CHECK(with(exact - 1) != std::string::npos);
    CHECK(number_in(store.execute("messages.append", say("old", "next")), "first_seq") == 4);
    CHECK(store.execute("state.get", R"({"scope":"s","key":"k"})").body ==
          R"({"value":{"v":1},"version":6})");
    CHECK(number_in(store.execute("journal.append", R"({"stream":"session:old/j","records":[{}]})"),
                    "first_seq") == 3);
    CHECK(store.execute("messages.search", R"({"query":"GRÖSSER"})").body == R"({"hits":[]})");
    CHECK(store.execute("messages.search", R"({"query":"GRÖß"})").body.find("\"seq\":2") !=
          std::string::npos);
    CHECK(store.execute("session.delete", R"({"id":"old"})").status == status_code::ok);
    CHECK(number_in(store.execute("stats", "{}"), "messages") == 0);
  }
  connection now(settings.path, 1000);
  CHECK(now.number("SELECT count(*) FROM messages") == 0);
  CHECK(now.number("SELECT count(*) FROM records") == 0);
  CHECK(now.word("SELECT group_concat(version) FROM migrations") == "1,2");
  CHECK(now.word("PRAGMA integrity_check") == "ok");
  CHECK(now.word("PRAGMA foreign_key_check").empty());
}

TEST_CASE_FIXTURE(fixture, "a migrated database has the very schema of a fresh one") {
  const auto schema = [](const std::string& path) {
    connection database(path, 1000);
    return database.word(
        "SELECT group_concat(type || ' ' || name || ': ' || coalesce(sql, '')) FROM "
        "(SELECT * FROM sqlite_schema ORDER BY type, name)");
  };
  const auto old_path = folder.path("old.db");
  write_file(old_path, "");
  {
    connection old(old_path, 1000);
    old.script(version_1);
  }
  CHECK(sqlite_store({.path = old_path}).execute("stats", "{}").status == status_code::ok);
  CHECK(sqlite_store(settings).execute("stats", "{}").status == status_code::ok);
  // Line breaks of the stored script differ; nothing else may.
  const auto words = [](std::string text) {
    std::string out;
    for (const char c : text)
      if (!std::isspace(static_cast<unsigned char>(c))) out += c;
    return out;
  };
  CHECK(words(schema(old_path)) == words(schema(settings.path)));
}

TEST_CASE_FIXTURE(fixture, "a migration that fails leaves the old version whole") {
  write_file(settings.path, "");
  {
    connection old(settings.path, 1000);
    old.script(version_1);
    // A table that stands where the migration wants one of its own.
    old.script("CREATE TABLE messages_before(x)");
  }
  {
    sqlite_store store(settings);
    CHECK(store.execute("stats", "{}").status == status_code::internal);
    CHECK(store.execute("session.create", create("a")).status == status_code::internal);
  }
  connection now(settings.path, 1000);
  CHECK(now.number("PRAGMA user_version") == 1);
  CHECK(now.number("SELECT count(*) FROM messages") == 2);
}

TEST_CASE_FIXTURE(fixture, "a newer database is refused and not touched") {
  fill(3);
  {
    connection newer(settings.path, 1000);
    newer.script("PRAGMA user_version = 99");
  }
  const auto before = read_file(settings.path);
  {
    sqlite_store store(settings);
    for (const char* method : {"stats", "session.delete"}) {
      const auto reply = store.execute(method, R"({"id":"a"})");
      CHECK(reply.status == status_code::failed_precondition);
      CHECK(reply.body.find("99") != std::string::npos);
    }
  }
  CHECK(read_file(settings.path) == before);
}

TEST_CASE_FIXTURE(fixture, "another program's database is refused and not touched") {
  write_file(settings.path, "");
  {
    connection other(settings.path, 1000);
    other.script("CREATE TABLE cookies(x); PRAGMA user_version = 1");
  }
  const auto before = read_file(settings.path);
  {
    sqlite_store store(settings);
    CHECK(store.execute("session.create", create("a")).status == status_code::failed_precondition);
  }
  CHECK(read_file(settings.path) == before);
}

TEST_CASE_FIXTURE(fixture,
                  "damage is reported with the file and a way out, and nothing is deleted") {
  fill(200);
  auto bytes = read_file(settings.path);
  REQUIRE(bytes.size() > 100'000);
  SUBCASE("garbage header") {
    bytes.replace(0, 100, std::string(100, '\x5a'));
  }
  SUBCASE("truncated") {
    bytes.resize(bytes.size() / 2);
  }
  SUBCASE("truncated inside a page") {
    bytes.resize(bytes.size() / 2 + 1000);
  }
  SUBCASE("cut to a few bytes") {
    bytes.resize(17);
  }
  SUBCASE("zeros over the middle") {
    bytes.replace(8192, bytes.size() - 8192, std::string(bytes.size() - 8192, '\0'));
  }
  SUBCASE("noise over the middle") {
    std::minstd_rand random(7);
    for (std::size_t i = 4096; i < bytes.size(); ++i) bytes[i] = static_cast<char>(random());
  }
  write_file(settings.path, bytes);
  {
    sqlite_store store(settings);
    sqlite_reply reply;
    // Whichever call meets the damage first.
    for (const char* request : {R"({"session":"a"})", R"({"session":"a","reverse":true})"}) {
      reply = store.execute("messages.range", request);
      if (reply.status != status_code::ok) break;
    }
    CHECK(reply.status == status_code::data_loss);
    CHECK(reply.body.find(settings.path) != std::string::npos);
    CHECK(reply.body.find(".recover") != std::string::npos);
    // What was found stops writes: they could make it worse.
    CHECK(store.execute("messages.append", say("a", "more")).status == status_code::data_loss);
  }
  CHECK(read_file(settings.path) == bytes);
}

TEST_CASE_FIXTURE(fixture, "a text that rotted costs itself and nothing else") {
  fill(3);
  {
    sqlite_store store(settings);
    REQUIRE(store.execute("session.create", create("b")).status == status_code::ok);
    for (const char* key : {"k", "l"})
      REQUIRE(store
                  .execute("state.put",
                           R"({"scope":"s","value":[1],"key":")" + std::string(key) + "\"}")
                  .status == status_code::ok);
    REQUIRE(store.execute("journal.append", R"({"stream":"j","records":[{"n":1}]})").status ==
            status_code::ok);
  }
  for (const char* rot : {"x'5B7B'", "x'00'", "x'5B22FF225D'", "''", "'{}'"}) {
    CAPTURE(rot);
    {
      connection raw(settings.path, 1000);
      const std::string text = "CAST(" + std::string(rot) + " AS TEXT)";
      raw.script("UPDATE messages SET parts = " + text + ", metadata = " +
                 (text == "CAST('{}' AS TEXT)" ? "'[]'" : text) + " WHERE position & 255 = 2");
      raw.script("UPDATE sessions SET title = " + text + ", metadata = 'x' WHERE id = 'a'");
      raw.script("UPDATE state SET value = x'FF' || '' WHERE key = 'k'");
      raw.script("UPDATE records SET record = '{' || CAST(x'FF' AS TEXT)");
    }
    sqlite_store store(settings);
    const auto listed = store.execute("session.list", "{}");
    REQUIRE(listed.status == status_code::ok);
    CHECK(rustic::array_or_empty(rustic::parse_object(listed.body), "sessions").size() == 2);
    const auto range = store.execute("messages.range", R"({"session":"a"})");
    REQUIRE(range.status == status_code::ok);
    const auto body = rustic::parse_object(range.body);
    REQUIRE(rustic::array_or_empty(body, "messages").size() == 3);
    const auto& parts =
        rustic::array_or_empty(rustic::array_or_empty(body, "messages")[1].as_object(), "parts");
    REQUIRE(parts.size() == 1);
    CHECK(rustic::text_or(parts[0].as_object(), "text").find("damaged") != std::string_view::npos);
    CHECK(store.execute("messages.search", R"({"query":"mmm"})").status == status_code::ok);
    CHECK(store.execute("messages.append", say("a", "more")).status == status_code::ok);
    const auto state = store.execute("state.get", R"({"scope":"s","key":"k"})");
    CHECK(state.status == status_code::data_loss);
    CHECK(rustic::parse_object(state.body).contains("hint"));
    CHECK(store.execute("state.get", R"({"scope":"s","key":"l"})").status == status_code::ok);
    CHECK(store.execute("journal.read", R"({"stream":"j"})").status == status_code::data_loss);
    connection raw(settings.path, 1000);
    raw.script("DELETE FROM messages WHERE position & 255 > 3");
    raw.script("UPDATE sessions SET next_seq = 4 WHERE id = 'a'");
  }
}

TEST_CASE_FIXTURE(fixture, "an emptied file beside a full log is damage, not a new database") {
  in_crashing_child(settings,
                    [&](sqlite_store& store) { store.execute("session.create", create("a")); });
  const auto log = read_file(wal);
  REQUIRE(log.size() > 4096);
  SUBCASE("emptied") {
    write_file(settings.path, "");
  }
  SUBCASE("removed") {
    fs::remove(settings.path);
  }
  {
    sqlite_store store(settings);
    const auto reply = store.execute("session.create", create("b"));
    CHECK(reply.status == status_code::data_loss);
    CHECK(reply.body.find("-wal") != std::string::npos);
  }
  CHECK(read_file(wal) == log);
}

TEST_CASE_FIXTURE(fixture, "an empty file becomes a database") {
  write_file(settings.path, "");
  sqlite_store store(settings);
  CHECK(store.execute("session.create", create("a")).status == status_code::ok);
}

TEST_CASE_FIXTURE(fixture, "a log torn anywhere in its last commit costs that commit only") {
  fill(3);
  std::string before_last;
  in_crashing_child(settings, [&](sqlite_store& store) {
    store.execute("messages.append", say("a", "acknowledged"));
    write_file(folder.path("size"), std::to_string(read_file(wal).size()));
    store.execute("messages.append", say("a", "last"));
  });
  const auto last_begin = std::stoul(read_file(folder.path("size")));
  const auto database = read_file(settings.path), log = read_file(wal);
  REQUIRE(log.size() > last_begin);

  const auto check = [&](const std::string& torn) {
    write_file(settings.path, database);
    write_file(wal, torn);
    fs::remove(settings.path + "-shm");
    {
      sqlite_store store(settings);
      const auto range = store.execute("messages.range", R"({"session":"a","from_seq":4})");
      REQUIRE(range.status == status_code::ok);
      REQUIRE(range.body.find("acknowledged") != std::string::npos);
      REQUIRE(range.body.find("last") == std::string::npos);
      REQUIRE(number_in(store.execute("messages.append", say("a", "after")), "first_seq") == 5);
    }
    sqlite_store again(settings);
    REQUIRE(again.execute("messages.range", R"({"session":"a","from_seq":5})").body.find("after") !=
            std::string::npos);
  };
  constexpr std::size_t stride = 257;  // prime, so that every part of a frame is met
  for (auto size = last_begin; size < log.size(); size += stride) {
    CAPTURE(size);
    check(log.substr(0, size));
  }
  check(log.substr(0, log.size() - 1));
  for (auto size = last_begin; size < log.size(); size += stride * 4) {
    CAPTURE(size);
    check(log.substr(0, size) + std::string(log.size() - size, '\0'));           // zeros after it
    check(log.substr(0, size) + std::string(log.size() - size + 9000, '\xee'));  // noise after it
  }
}

TEST_CASE_FIXTURE(fixture, "kill -9 at any moment loses nothing that was acknowledged") {
  {
    sqlite_store store(settings);
    REQUIRE(store.execute("session.create", create("a")).status == status_code::ok);
  }
  std::minstd_rand random(std::random_device{}());
  std::int64_t acknowledged = 0;
  for (int round = 0; round < 12; ++round) {
    int channel[2];
    REQUIRE(::pipe(channel) == 0);
    const auto child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      ::close(channel[0]);
      group_committer committer(settings);
      std::vector<std::thread> writers;
      for (int t = 0; t < 3; ++t)
        writers.emplace_back([&] {
          for (;;) {
            const auto [status, body] =
                call_and_wait(committer, "messages.append", say("a", std::string(3000, 'k')));
            const auto seq = status == status_code::ok
                                 ? rustic::int_or(rustic::parse_object(body), "last_seq")
                                 : std::int64_t{-1};
            if (::write(channel[1], &seq, sizeof seq) != sizeof seq) ::_exit(1);
          }
        });
      for (auto& one : writers) one.join();
      ::_exit(0);
    }
    ::close(channel[1]);
    // Some acknowledgements, then a moment somewhere inside the next ones.
    const int wanted = static_cast<int>(random() % 40) + 1;
    std::int64_t seq = 0;
    for (int got = 0; got < wanted && ::read(channel[0], &seq, sizeof seq) == sizeof seq; ++got) {
      REQUIRE(seq > 0);
      acknowledged = std::max(acknowledged, seq);
    }
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 3000));
    ::kill(child, SIGKILL);
    while (::read(channel[0], &seq, sizeof seq) == sizeof seq)
      acknowledged = std::max(acknowledged, seq);
    ::close(channel[0]);
    int status = 0;
    ::waitpid(child, &status, 0);

    sqlite_store store(settings);
    const auto range = rustic::parse_object(
        store.execute("messages.range", R"({"session":"a","limit":100000,"max_bytes":200000000})")
            .body);
    const auto& messages = rustic::array_or_empty(range, "messages");
    REQUIRE(static_cast<std::int64_t>(messages.size()) >= acknowledged);
    for (std::size_t i = 0; i < messages.size(); ++i)
      REQUIRE(messages[i].at("seq").to_number<std::size_t>() == i + 1);
  }
  connection database(settings.path, 1000);
  CHECK(database.word("PRAGMA integrity_check") == "ok");
}

TEST_CASE("a full file system refuses, keeps what there is, and is used again") {
  const scratch_folder folder;
  const auto mount_point = folder.path("small");
  fs::create_directory(mount_point);
  if (::mount("none", mount_point.c_str(), "tmpfs", 0, "size=3m") != 0) {
    MESSAGE("not allowed to mount: skipped");
    return;
  }
  {
    sqlite_store store({.path = mount_point + "/storage.db"});
    REQUIRE(store.execute("session.create", create("a")).status == status_code::ok);
    REQUIRE(store.execute("session.create", create("b")).status == status_code::ok);
    int stored = 0;
    sqlite_reply reply;
    while ((reply = store.execute("messages.append", say("a", std::string(50'000, 'f')))).status ==
           status_code::ok) {
      store.maintain();
      REQUIRE(++stored < 1000);
    }
    CHECK(reply.status == status_code::resource_exhausted);
    CHECK(stored > 3);
    const auto count = [&] {
      return rustic::int_or(rustic::parse_object(store.execute("session.get", R"({"id":"a"})").body)
                                .at("session")
                                .as_object(),
                            "message_count");
    };
    CHECK(count() == stored);
    // More room, as if somebody had cleaned up.
    REQUIRE(::mount("none", mount_point.c_str(), "tmpfs", MS_REMOUNT, "size=9m") == 0);
    CHECK(store.execute("messages.append", say("a", std::string(50'000, 'f'))).status ==
          status_code::ok);
    CHECK(count() == stored + 1);
    store.close();
    CHECK(connection(mount_point + "/storage.db", 1000).word("PRAGMA integrity_check") == "ok");
  }
  ::umount(mount_point.c_str());
}

TEST_CASE("a file system that became read-only refuses writes and still gives what it holds") {
  const scratch_folder folder;
  const auto mount_point = folder.path("disk");
  fs::create_directory(mount_point);
  if (::mount("none", mount_point.c_str(), "tmpfs", 0, "size=3m") != 0) {
    MESSAGE("not allowed to mount: skipped");
    return;
  }
  const auto path = mount_point + "/storage.db";
  {
    sqlite_store store({.path = path});
    REQUIRE(store.execute("session.create", create("a")).status == status_code::ok);
  }
  REQUIRE(::mount("none", mount_point.c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, nullptr) == 0);
  CHECK_THROWS_AS(sqlite_store::prepare_location(path), rustic::failure);
  {
    sqlite_store store({.path = path});
    const auto reply = store.execute("session.create", create("b"));
    CHECK(reply.status == status_code::unavailable);
    CHECK(reply.body.find("connection_string") != std::string::npos);
  }
  ::umount(mount_point.c_str());
}
