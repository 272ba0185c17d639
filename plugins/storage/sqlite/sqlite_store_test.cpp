#include "sqlite_store.hpp"

#include <doctest/doctest.h>

#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <fstream>
#include <memory>
#include <mutex>
#include <thread>

#include "../../../tests/contract/storage_suite.hpp"
#include "group_committer.hpp"
#include "scratch_folder_test.hpp"

using rustic::status_code;
using namespace rustic::storage;

namespace {
std::atomic<int> syncs{0};
}  // namespace
// Stands before that of the C library, for SQLite.
extern "C" __attribute__((visibility("default"))) int fdatasync(int file) {
  ++syncs;
  return static_cast<int>(syscall(SYS_fdatasync, file));
}

TEST_CASE("what must survive a power failure waits for the disk, and nothing else") {
  scratch_folder folder;
  sqlite_settings settings;
  settings.path = folder.path("storage.db");
  sqlite_store store(settings);
  const auto syncs_of = [&](std::string_view method, std::string_view body) {
    const int before = syncs;
    REQUIRE(store.execute(method, body).status == status_code::ok);
    return syncs - before;
  };
  CHECK(syncs_of("state.put", R"({"scope":"a","key":"b","value":1})") > 0);
  CHECK(syncs_of("session.create",
                 R"({"session":{"id":"s_1","created_at_ms":1,"updated_at_ms":1}})") == 0);
  CHECK(syncs_of("lease.acquire",
                 R"({"name":"session:s_1","owner":"me","ttl_ms":1000,"now_ms":1})") == 0);
  CHECK(syncs_of(
            "messages.append",
            R"({"session":"s_1","messages":[{"role":"user","parts":[],"created_at_ms":1}]})") == 1);
  CHECK(syncs_of("journal.append", R"({"stream":"x","records":[{}]})") == 1);
}

TEST_CASE("the store keeps the contract") {
  rustic::contract::run_storage_suite([](const rustic::contract::storage_setting& setting) {
    struct backend {
      scratch_folder folder;
      std::mutex mutex;
      std::unique_ptr<sqlite_store> store;
    };
    auto made = std::make_shared<backend>();
    sqlite_settings settings;
    settings.path = made->folder.path("storage.db");
    settings.max_history_size = setting.max_history_size;
    made->store = std::make_unique<sqlite_store>(settings);
    return [made](std::string_view method, std::string_view request) {
      const std::lock_guard lock(made->mutex);
      auto reply = made->store->execute(method, request);
      return std::pair{reply.status, std::move(reply.body)};
    };
  });
}

TEST_CASE("the committer keeps the contract") {
  rustic::contract::run_storage_suite([](const rustic::contract::storage_setting& setting) {
    struct backend {
      scratch_folder folder;
      std::unique_ptr<group_committer> committer;
    };
    auto made = std::make_shared<backend>();
    sqlite_settings settings;
    settings.path = made->folder.path("storage.db");
    settings.max_history_size = setting.max_history_size;
    made->committer = std::make_unique<group_committer>(settings);
    return [made](std::string_view method, std::string_view request) {
      return call_and_wait(*made->committer, method, request);
    };
  });
}

namespace {
struct fixture {
  scratch_folder folder;
  sqlite_settings settings{.path = folder.path("deep/er/storage.db")};
};
std::string append(std::string_view session, std::size_t bytes, int messages = 1) {
  std::string request = R"({"session":")" + std::string(session) + R"(","messages":[)";
  for (int i = 0; i < messages; ++i)
    request += std::string(i == 0 ? "" : ",") +
               R"({"role":"user","created_at_ms":1,"parts":[{"type":"text","text":")" +
               std::string(bytes, 'x') + "\"}]}";
  return request + "]}";
}
std::string create(std::string_view id) {
  return R"({"session":{"id":")" + std::string(id) + R"(","created_at_ms":1,"updated_at_ms":1}})";
}
// Keeps a committer's thread inside the completion of one call, so that later calls must queue.
class busy_thread {
 public:
  busy_thread(group_committer& committer, std::string_view method, const std::string& request) {
    committer.submit(committer.new_ticket(), method, request,
                     [state = state_](const sqlite_reply&) {
                       std::unique_lock lock(state->mutex);
                       state->entered = true;
                       state->changed.notify_all();
                       state->changed.wait(lock, [&] { return state->open; });
                     });
    std::unique_lock lock(state_->mutex);
    state_->changed.wait(lock, [&] { return state_->entered; });
  }
  ~busy_thread() { let_go(); }
  busy_thread(const busy_thread&) = delete;
  busy_thread& operator=(const busy_thread&) = delete;
  void let_go() {
    const std::lock_guard lock(state_->mutex);
    state_->open = true;
    state_->changed.notify_all();
  }

 private:
  struct gate {
    std::mutex mutex;
    std::condition_variable changed;
    bool entered = false, open = false;
  };
  std::shared_ptr<gate> state_ = std::make_shared<gate>();
};
mode_t mode_of(const std::string& path) {
  struct stat found {};
  REQUIRE(::stat(path.c_str(), &found) == 0);
  return found.st_mode & 0777;
}
off_t size_of(const std::string& path) {
  struct stat found {};
  return ::stat(path.c_str(), &found) == 0 ? found.st_size : -1;
}
// What the kernel counted for this process's own thread of that name.
std::string thread_line(const std::string& thread, const std::string& key) {
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream name(task.path() / "comm");
    std::string word;
    if (!(name >> word) || word != thread) continue;
    std::ifstream status(task.path() / "status");
    for (std::string line; std::getline(status, line);)
      if (line.rfind(key, 0) == 0) return line;
  }
  return {};
}
std::string written_bytes() {
  std::ifstream io("/proc/self/io");
  for (std::string line; std::getline(io, line);)
    if (line.rfind("write_bytes", 0) == 0) return line;
  return {};
}
}  // namespace

TEST_CASE_FIXTURE(fixture, "folders and files are made for this user only") {
  const auto old_mask = ::umask(0);
  sqlite_store store(settings);
  CHECK(store.execute("session.create", create("a")).status == status_code::ok);
  ::umask(old_mask);
  CHECK(mode_of(folder.path("deep")) == 0700);
  CHECK(mode_of(folder.path("deep/er")) == 0700);
  for (const char* suffix : {"", "-wal", "-shm", ".lock"})
    CHECK(mode_of(settings.path + suffix) == 0600);
  store.close();
  // One file again, but for the lock, which must stay.
  CHECK(size_of(settings.path + "-wal") == -1);
  CHECK(store.execute("session.get", R"({"id":"a"})").status == status_code::ok);
}

TEST_CASE("a connection string names a file") {
  const auto resolve = [](std::string_view text) { return sqlite_store::resolve_path(text); };
  CHECK(resolve("sqlite:///x/y.db") == "/x/y.db");
  CHECK(resolve("sqlite:/x/../y.db") == "/y.db");
  CHECK(resolve("file:x.db").front() == '/');  // a name, not a URI
  for (const char* bad : {"", ":memory:", "sqlite:", "sqlite::memory:", "/x/"})
    CHECK_THROWS_AS((void)resolve(bad), rustic::failure);
  const scratch_folder folder;
  std::filesystem::create_directory(folder.path("real"));
  std::filesystem::create_directory_symlink(folder.path("real"), folder.path("link"));
  CHECK(resolve(folder.path("link/a.db")) == resolve(folder.path("real/a.db")));
}

TEST_CASE("a place that cannot be written to is reported with what to do") {
  for (const std::string path : {"/proc/rustic/storage.db", "/dev/null/storage.db", "/proc"}) {
    CAPTURE(path);
    try {
      sqlite_store::prepare_location(path);
      FAIL_CHECK("not refused");
    } catch (const rustic::failure& problem) {
      CHECK(problem.problem().code == status_code::unavailable);
      CHECK(problem.problem().message.find("/") != std::string::npos);
      CHECK(problem.problem().hint.find("connection_string") != std::string::npos);
    }
    sqlite_store store({.path = path});
    CHECK(store.execute("stats", "{}").status == status_code::unavailable);
    CHECK(store.execute("session.create", create("a")).status == status_code::unavailable);
  }
}

TEST_CASE_FIXTURE(fixture, "a group is one commit in which each call stands alone") {
  sqlite_store store(settings);
  const std::vector<std::string> bodies{create("a"),     create("a"),        create("b"),
                                        append("a", 10), append("none", 10), "not json"};
  std::vector<sqlite_call> calls{{"session.create", bodies[0]},  {"session.create", bodies[1]},
                                 {"session.create", bodies[2]},  {"messages.append", bodies[3]},
                                 {"messages.append", bodies[4]}, {"session.create", bodies[5]}};
  const auto replies = store.execute_group(calls);
  REQUIRE(replies.size() == 6);
  CHECK(replies[0].status == status_code::ok);
  CHECK(replies[1].status == status_code::already_exists);
  CHECK(replies[2].status == status_code::ok);
  CHECK(replies[3].status == status_code::ok);
  CHECK(replies[4].status == status_code::not_found);
  CHECK(replies[5].status == status_code::invalid_argument);
  sqlite_store other(settings);
  CHECK(other.execute("stats", "{}").body.find(R"("sessions":2,"messages":1)") !=
        std::string::npos);
}

TEST_CASE_FIXTURE(fixture, "a full disk refuses one call, not its neighbours, and passes") {
  settings.max_pages = 150;
  sqlite_store store(settings);
  const auto a = create("a"), b = create("b"), large = append("a", 2'000'000);
  const std::vector<sqlite_call> calls{
      {"session.create", a}, {"messages.append", large}, {"session.create", b}};
  const auto replies = store.execute_group(calls);
  CHECK(replies[0].status == status_code::ok);
  CHECK(replies[1].status == status_code::resource_exhausted);
  CHECK(replies[1].body.find("free disk space") != std::string::npos);
  CHECK(replies[2].status == status_code::ok);
  int stored = 0;
  while (store.execute("messages.append", append("b", 10'000)).status == status_code::ok) ++stored;
  CHECK(stored > 10);
  CHECK(store.execute("session.get", R"({"id":"b"})")
            .body.find("\"message_count\":" + std::to_string(stored)) != std::string::npos);
  CHECK(store.execute("session.delete", R"({"id":"b"})").status == status_code::ok);
  CHECK(store.execute("messages.append", append("a", 10'000)).status == status_code::ok);
}

TEST_CASE_FIXTURE(fixture, "deleted messages give their room back, and the log stays bounded") {
  group_committer committer(settings);
  CHECK(call_and_wait(committer, "session.create", create("keep")).first == status_code::ok);
  CHECK(call_and_wait(committer, "session.create", create("go")).first == status_code::ok);
  const auto request = append("go", 200'000, 5);
  for (int i = 0; i < 40; ++i)
    CHECK(call_and_wait(committer, "messages.append", request).first == status_code::ok);
  CHECK(call_and_wait(committer, "session.delete", R"({"id":"go"})").first == status_code::ok);
  // Housekeeping runs between calls; each call is a chance to look.
  std::int64_t bytes = 0;
  for (int i = 0; i < 2000; ++i) {
    const auto stats = rustic::parse_object(call_and_wait(committer, "stats", "{}").second);
    bytes = rustic::int_or(stats, "bytes");
    if (bytes < 2'000'000) break;
  }
  CHECK(bytes < 2'000'000);
  CHECK(size_of(settings.path + "-wal") < 50'000'000);
  committer.stop();
  CHECK(size_of(settings.path) < 2'000'000);
}

TEST_CASE_FIXTURE(fixture, "the end of a long history is read without the rest") {
  sqlite_store store(settings);
  store.execute("session.create", create("a"));
  const auto request = append("a", 60'000, 50);
  for (int i = 0; i < 20; ++i)
    REQUIRE(store.execute("messages.append", request).status == status_code::ok);
  store.close();  // what follows starts cold
  const auto began = std::chrono::steady_clock::now();
  const auto reply =
      store.execute("messages.range", R"({"session":"a","reverse":true,"max_bytes":400000})");
  const auto took = std::chrono::steady_clock::now() - began;
  const auto range = rustic::parse_object(reply.body);
  CHECK(rustic::array_or_empty(range, "messages").size() == 6);
  CHECK(range.at("more") == true);
  CHECK(took < std::chrono::milliseconds(300));
}

TEST_CASE_FIXTURE(fixture, "idle means no bytes and no wake-ups") {
  group_committer committer(settings);
  CHECK(thread_line("rustic-sqlite", "Name").empty());  // no call, no thread
  CHECK(call_and_wait(committer, "session.create", create("a")).first == status_code::ok);
  const auto wakes = [] { return thread_line("rustic-sqlite", "voluntary_ctxt_switches"); };
  // The thread may still be on its way to sleep after its answer.
  auto before = wakes();
  for (int same = 0; same < 20; ++same) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    const auto now = wakes();
    if (now != before) same = 0;
    before = now;
  }
  REQUIRE_FALSE(before.empty());
  const auto bytes = written_bytes();
  std::this_thread::sleep_for(std::chrono::milliseconds(500));  // the interval that is measured
  CHECK(wakes() == before);
  CHECK(written_bytes() == bytes);
}

TEST_CASE_FIXTURE(fixture, "a waiting call is cancelled, a running write is not undone") {
  group_committer committer(settings);
  busy_thread busy(committer, "session.create", create("a"));
  std::vector<status_code> outcomes;
  const auto note = [&](const sqlite_reply& reply) { outcomes.push_back(reply.status); };
  const auto write = committer.new_ticket(), read = committer.new_ticket();
  committer.submit(write, "session.create", create("b"), note);
  committer.submit(read, "stats", "{}", note);
  committer.cancel(write);
  committer.cancel(write);
  committer.cancel(read);
  committer.cancel(12345);
  CHECK(outcomes == std::vector{status_code::cancelled, status_code::cancelled});
  busy.let_go();
  CHECK(call_and_wait(committer, "session.get", R"({"id":"a"})").first == status_code::ok);
  CHECK(call_and_wait(committer, "session.get", R"({"id":"b"})").first == status_code::not_found);
}

TEST_CASE_FIXTURE(fixture, "stop carries out what is queued and refuses what comes later") {
  std::atomic<int> done{0};
  group_committer committer(settings);
  for (int i = 0; i < 600; ++i)
    committer.submit(committer.new_ticket(), "session.create", create("s" + std::to_string(i)),
                     [&](const sqlite_reply& reply) {
                       if (reply.status == status_code::ok) ++done;
                     });
  committer.stop();
  CHECK(done == 600);
  CHECK(call_and_wait(committer, "stats", "{}").first == status_code::unavailable);
  committer.stop();
  sqlite_store store(settings);
  CHECK(store.execute("stats", "{}").body.find("\"sessions\":600") != std::string::npos);
}

TEST_CASE_FIXTURE(fixture, "more than the queue holds is refused at once") {
  group_committer committer(settings);
  std::mutex hold;
  std::unique_lock held(hold);
  committer.submit(committer.new_ticket(), "stats", "{}",
                   [&](const sqlite_reply&) { const std::lock_guard wait(hold); });
  std::atomic<int> refused{0}, done{0};
  const int calls = static_cast<int>(queued_calls_max + group_calls_max) + 10;
  for (int i = 0; i < calls; ++i)
    committer.submit(committer.new_ticket(), "stats", "{}", [&](const sqlite_reply& reply) {
      ++(reply.status == status_code::resource_exhausted ? refused : done);
    });
  CHECK(refused >= 10);
  held.unlock();
  committer.stop();
  CHECK(refused + done == calls);
}

TEST_CASE_FIXTURE(fixture, "a long search lets other calls through and can be cancelled") {
  group_committer committer(settings);
  CHECK(call_and_wait(committer, "session.create", create("a")).first == status_code::ok);
  const auto request = append("a", 1'000'000, 10);
  for (int i = 0; i < 5; ++i)
    CHECK(call_and_wait(committer, "messages.append", request).first == status_code::ok);
  // 50 MB take several steps; what is queued behind the search comes in after the first.
  std::vector<std::string> order;
  const auto search = committer.new_ticket();
  std::promise<void> first_over, second_over;
  {
    busy_thread busy(committer, "stats", "{}");
    committer.submit(search, "messages.search", R"({"query":"nowhere"})",
                     [&](const sqlite_reply& reply) {
                       order.push_back("search " + reply.body);
                       first_over.set_value();
                     });
    committer.submit(committer.new_ticket(), "session.get", R"({"id":"a"})",
                     [&](const sqlite_reply&) { order.push_back("get"); });
    busy.let_go();
  }
  first_over.get_future().get();
  CHECK(order == std::vector<std::string>{"get", R"(search {"hits":[]})"});

  status_code outcome = status_code::ok;
  {
    busy_thread busy(committer, "stats", "{}");
    const auto second = committer.new_ticket();
    committer.submit(second, "messages.search", R"({"query":"nowhere"})",
                     [&](const sqlite_reply& reply) {
                       outcome = reply.status;
                       second_over.set_value();
                     });
    committer.submit(committer.new_ticket(), "session.get", R"({"id":"a"})",
                     [&, second](const sqlite_reply&) { committer.cancel(second); });
    busy.let_go();
  }
  second_over.get_future().get();
  CHECK(outcome == status_code::cancelled);
}

TEST_CASE_FIXTURE(fixture,
                  "another holder of the lock delays writes, not reads, and not for ever") {
  settings.busy_timeout = std::chrono::milliseconds(150);
  sqlite_store store(settings);
  REQUIRE(store.execute("session.create", create("a")).status == status_code::ok);
  file_lock other(settings.path + ".lock");
  interrupt never;
  other.acquire(std::chrono::seconds(1), never);
  const auto refused = store.execute("session.create", create("b"));
  CHECK(refused.status == status_code::unavailable);
  CHECK(refused.body.find(settings.path) != std::string::npos);
  CHECK(store.execute("session.get", R"({"id":"a"})").status == status_code::ok);
  // Opening is no mere read: it may recover the log.
  sqlite_store late(settings);
  CHECK(late.execute("session.get", R"({"id":"a"})").status == status_code::unavailable);
  other.release();
  CHECK(late.execute("session.get", R"({"id":"a"})").status == status_code::ok);
  CHECK(store.execute("session.create", create("b")).status == status_code::ok);
}

TEST_CASE_FIXTURE(fixture, "stop does not wait for another process as long as a call would") {
  settings.busy_timeout = std::chrono::minutes(5);
  group_committer committer(settings);
  CHECK(call_and_wait(committer, "session.create", create("a")).first == status_code::ok);
  file_lock other(settings.path + ".lock");
  interrupt never;
  other.acquire(std::chrono::seconds(1), never);
  status_code outcome = status_code::ok;
  committer.submit(committer.new_ticket(), "session.create", create("b"),
                   [&](const sqlite_reply& reply) { outcome = reply.status; });
  const auto began = std::chrono::steady_clock::now();
  committer.stop();
  CHECK(std::chrono::steady_clock::now() - began < std::chrono::seconds(10));
  CHECK(outcome == status_code::unavailable);
  other.release();
  sqlite_store store(settings);
  CHECK(store.execute("session.get", R"({"id":"a"})").status == status_code::ok);
}

TEST_CASE_FIXTURE(fixture, "the lock excludes even when its file was removed meanwhile") {
  std::filesystem::create_directories(folder.path("deep/er"));
  const auto path = settings.path + ".lock";
  interrupt never;
  file_lock first(path), second(path);
  first.acquire(std::chrono::milliseconds(100), never);
  first.release();
  std::filesystem::remove(path);
  second.acquire(std::chrono::milliseconds(100), never);
  CHECK_THROWS_AS(first.acquire(std::chrono::milliseconds(100), never), rustic::failure);
  second.release();
  first.acquire(std::chrono::milliseconds(100), never);
  first.release();
}

TEST_CASE_FIXTURE(fixture, "a file that was replaced is opened anew") {
  sqlite_store store(settings), other(settings);
  REQUIRE(store.execute("session.create", create("old")).status == status_code::ok);
  std::filesystem::remove_all(folder.path("deep"));
  REQUIRE(other.execute("session.create", create("new")).status == status_code::ok);
  CHECK(store.execute("session.get", R"({"id":"old"})").status == status_code::not_found);
  CHECK(store.execute("session.get", R"({"id":"new"})").status == status_code::ok);
  CHECK(store.execute("session.create", create("third")).status == status_code::ok);
  CHECK(other.execute("session.get", R"({"id":"third"})").status == status_code::ok);
}
