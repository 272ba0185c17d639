// The map by itself (crashes, damage, processes), then the built plugin as a host sees it.
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <rustic/testing.hpp>

#include "log_map.hpp"

namespace {
namespace fs = std::filesystem;
using file_store_plugin::log_map;
using rustic::status_code;

struct folder {
  folder() : path((fs::temp_directory_path() / "file-store-XXXXXX").string()) {
    if (!::mkdtemp(path.data())) ::abort();
  }
  ~folder() { fs::remove_all(path); }
  std::string operator/(const char* name) const { return path + "/" + name; }
  std::string path;
};

void put(log_map& map, std::string_view key, std::string value) {
  log_map::transaction change(map);
  map.put(key, std::move(value));
  change.commit();
}
std::string get(log_map& map, std::string_view key) {
  const log_map::transaction reading(map);
  const auto* value = map.find(key);
  return value ? *value : "(none)";
}
status_code outcome(log_map& map) {
  try {
    get(map, "a");
    return status_code::ok;
  } catch (const rustic::failure& problem) {
    return problem.problem().code;
  }
}

void map_cases(rustic::testing::checks& check) {
  const folder place;
  const auto file = place / "data";
  log_map one(file), other(file);
  one.prepare();
  put(one, "a", "1");
  check.equal(get(other, "a"), "1", "another process sees what is finished");
  {
    log_map::transaction taken_back(other);
    other.put("a", "2");
    other.put("b", "2");
    other.erase("a");
    other.put("a", "3");
    other.erase("b");
  }
  check.equal(get(other, "a") + get(one, "a"), "11", "what is not committed is taken back");
  check.equal(get(other, "b"), "(none)", "and what was new is gone");
  {
    log_map::transaction change(other);
    other.put("a", "4");
    other.erase("a");
    other.put("c", "5");
    change.commit();
  }
  check.equal(get(one, "a") + get(one, "c"), "(none)5", "the last word on a key counts");
  log_map later(file);
  check.equal(get(later, "a") + get(later, "c"), "(none)5", "also for who comes later");
}

void rewriting_cases(rustic::testing::checks& check) {
  const folder place;
  const auto file = place / "data";
  log_map one(file), other(file);
  put(other, "kept", "before");
  for (int i = 0; i < 40; ++i)
    put(one, "big", std::string(200'000, static_cast<char>('a' + i % 26)));
  check(fs::file_size(file) < 3'000'000, "the file does not grow without end");
  check.equal(get(other, "kept"), "before", "nothing is lost when it is written anew");
  check(get(other, "big") == std::string(200'000, 'n'), "and others notice");
  put(other, "kept", "after");
  check.equal(get(one, "kept"), "after", "both go on");
}

void damage_cases(rustic::testing::checks& check) {
  const folder place;
  const auto file = place / "data";
  {
    log_map map(file);
    put(map, "a", "1");
    put(map, "b", "2");
  }
  const auto good = fs::file_size(file);
  for (const std::string& torn : {std::string("x"), std::string(9, 'x'), std::string(4096, '\0')}) {
    std::ofstream(file, std::ios::app | std::ios::binary) << torn;
    log_map map(file);
    check.equal(get(map, "a") + get(map, "b"), "12", "a beginning of a record does no harm");
    check(fs::file_size(file) == good, "and is removed");
  }
  fs::resize_file(file, good - 1);
  {
    log_map map(file);
    check.equal(get(map, "a") + get(map, "b"), "1(none)", "a record cut short does not count");
    put(map, "b", "3");
    put(map, "c", "4");
  }
  std::fstream(file, std::ios::in | std::ios::out | std::ios::binary).seekp(40).put('\x7f');
  {
    log_map map(file);
    const auto before = fs::file_size(file);
    check(outcome(map) == status_code::data_loss, "damage in the middle is told");
    check(fs::file_size(file) == before, "and nothing is cut away");
  }
  std::ofstream(file, std::ios::trunc) << "SQLite format 3, or anything else";
  log_map map(file);
  check(outcome(map) == status_code::failed_precondition, "a file of somebody else is refused");
  log_map nowhere("/proc/nothing/data");
  check(outcome(nowhere) == status_code::unavailable, "so is a place that cannot be written");
}

// Whatever becomes of the file: what is read is what some transaction had left, or an error.
void every_byte_case(rustic::testing::checks& check) {
  const folder place;
  const auto file = place / "data";
  {
    log_map map(file);
    put(map, "a", "1");
    put(map, "a", "22");
    put(map, "b", "333");
  }
  std::ifstream in(file, std::ios::binary);
  const std::string whole((std::istreambuf_iterator<char>(in)), {});
  const auto state_of = [&](const std::string& bytes) {
    std::ofstream(file, std::ios::trunc | std::ios::binary) << bytes;
    log_map map(file);
    try {
      return get(map, "a") + get(map, "b");
    } catch (const rustic::failure& problem) {
      const auto code = problem.problem().code;
      return std::string(code == status_code::data_loss             ? "damaged"
                         : code == status_code::failed_precondition ? "foreign"
                                                                    : "?");
    }
  };
  const std::string before[] = {"(none)(none)", "1(none)", "22(none)", "22333"};
  std::size_t step = 0;
  for (std::size_t bytes = 0; bytes <= whole.size(); ++bytes) {
    const auto found = state_of(whole.substr(0, bytes));
    if (step < 3 && found == before[step + 1]) ++step;
    check(found == before[step], "cut after " + std::to_string(bytes) + " bytes: " + found);
  }
  check(step == 3, "the whole file has everything");
  for (std::size_t at = 0; at < whole.size(); ++at) {
    auto changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 0x21);
    const auto found = state_of(changed);
    // A wrong byte in the last record looks as if a crash had cut it short.
    check(found == "damaged" || found == "foreign" || found == before[2],
          "byte " + std::to_string(at) + " changed: " + found);
  }
}

void processes_case(rustic::testing::checks& check) {
  const folder place;
  const auto file = place / "data";
  constexpr int processes = 3, rounds = 40;
  pid_t children[processes];
  for (auto& child : children) {
    child = ::fork();
    if (child != 0) continue;
    log_map map(file);
    for (int i = 0; i < rounds; ++i) {
      log_map::transaction change(map);
      const auto* value = map.find("n");
      map.put("n", std::to_string((value ? std::stoi(*value) : 0) + 1));
      map.put("filler", std::string(20'000, 'x'));  // so that the file is written anew meanwhile
      change.commit();
    }
    ::_exit(0);
  }
  for (const auto child : children) {
    int status = 0;
    check(::waitpid(child, &status, 0) == child && status == 0, "each process ends well");
  }
  log_map map(file);
  check.equal(get(map, "n"), std::to_string(processes * rounds), "no change of another is lost");
}

void crash_case(rustic::testing::checks& check) {
  const folder place;
  const auto file = place / "data";
  int acknowledged[2];
  check(::pipe(acknowledged) == 0, "a pipe");
  const auto child = ::fork();
  if (child == 0) {
    log_map map(file);
    for (int i = 0;; ++i) {
      put(map, "n", std::to_string(i));
      if (::write(acknowledged[1], &i, sizeof i) != sizeof i) ::_exit(1);
    }
  }
  ::close(acknowledged[1]);
  int last = -1;
  while (last < 30 && ::read(acknowledged[0], &last, sizeof last) == sizeof last) {
  }
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  while (::read(acknowledged[0], &last, sizeof last) == sizeof last) {
  }
  ::close(acknowledged[0]);
  log_map map(file);
  const auto found = get(map, "n");
  // The kill may have come between the write and the word about it.
  check(found == std::to_string(last) || found == std::to_string(last + 1),
        "what was acknowledged outlives a kill: " + found);
}

void plugin_cases(rustic::testing::checks& check) {
  const folder place;
  const rustic::json::object config{{"connection_string", place / "sessions"}};
  constexpr auto service = "rustic.storage/file-store";
  const auto body = [](const char* text) { return rustic::parse_object(text, "a request"); };
  {
    rustic::testing::loaded_plugin plugin(PLUGIN_FILE, config);
    check(plugin
              .call(service, "session.create",
                    body(R"({"session":{"id":"s","created_at_ms":1,"updated_at_ms":1}})"))
              .ok(),
          "a session is made");
    check(plugin
              .call(service, "messages.append", body(R"({"session":"s","messages":[{
            "role":"user","parts":[{"type":"text","text":"Good morning"}],"created_at_ms":2}]})"))
              .ok(),
          "a message is kept");
  }
  rustic::testing::loaded_plugin plugin(PLUGIN_FILE, config);
  const auto range = plugin.call(service, "messages.range", body(R"({"session":"s"})"));
  check(range.body.find("Good morning") != std::string::npos, "and is there in the next life");
  const auto hits = plugin.call(service, "messages.search", body(R"({"query":"MORNING"})"));
  check(hits.body.find("\"seq\":1") != std::string::npos, "and is found");
  const auto failed = plugin.call(service, "apply", body(R"({"operations":[
      {"method":"session.delete","id":"s"},{"method":"session.get","id":"none"}]})"));
  check(failed.status == status_code::not_found &&
            plugin.call(service, "session.get", body(R"({"id":"s"})")).ok(),
        "a failed apply changes nothing");
  check(plugin.call(service, "no.such", {}).status == status_code::unimplemented,
        "an unknown method is refused");
}
}  // namespace

int main() {
  rustic::testing::checks check;
  map_cases(check);
  rewriting_cases(check);
  damage_cases(check);
  every_byte_case(check);
  processes_case(check);
  crash_case(check);
  plugin_cases(check);
  return check.failures();
}
