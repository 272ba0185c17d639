// Generations: exchanged under load, opened from private copies, handed a state, stood in for.
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/abi/loader_world.hpp"
#include "kernel/abi/private_copy.hpp"

using namespace rustic::kernel;
using namespace rustic::kernel::abi;
using namespace rustic::kernel::abi::testing;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int reloads = 200;
#else
constexpr int reloads = 1000;
#endif
constexpr int calling_threads = 8;

namespace {
void copied_only(loader::settings& with) {
  with.in_place = [](const plugin_file&) { return false; };
}

std::size_t resident_bytes() {
  std::size_t all = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> all >> resident;
  return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

// Reloads; too many generations drain at once only while their calls are running.
std::string reload_patiently(world& w, std::string_view id, const fs::path& file) {
  std::string problem;
  (void)eventually([&] {
    problem = w.plugins.reload(id, file);
    return problem.find("in flight") == std::string::npos;
  });
  return problem;
}
}  // namespace

TEST_CASE("a thousand reloads while eight threads call: none fails, none is lost, nothing stays") {
  std::thread([] {}).join();  // a sanitizer starts a thread of its own with the first
  const auto threads = entries("/proc/self/task");
  world w;
  w.plugins.add(inspect_plugin(probe_file));
  w.ask("rustic.test/co");
  w.ask("rustic.test/block");
  const auto files = entries("/proc/self/fd");
  std::atomic<bool> over{false};
  std::atomic<int> asked{0}, answered{0}, wrong{0};
  std::vector<std::thread> callers;
  for (int i = 0; i < calling_threads; ++i)
    callers.emplace_back([&, i] {
      while (!over) {
        ++asked;
        caller who;
        const auto body = "{\"n\":" + std::to_string(asked) + "}";
        w.b.k.call(0, request_for(i % 2 ? "rustic.test/co" : "rustic.test/block", "echo", body),
                   who.observer(), {});
        if (!who.wait_finished() || who.status() != RAI_OK || who.body() != body) ++wrong;
        ++answered;
      }
    });
  std::size_t early_bytes = 0;
  for (int i = 0; i < reloads; ++i) {
    if (i == reloads / 10) early_bytes = resident_bytes();
    REQUIRE(reload_patiently(w, "probe", probe_file) == "");
  }
  const auto grown_bytes = resident_bytes() - std::min(resident_bytes(), early_bytes);
  over = true;
  for (auto& one : callers) one.join();
  CHECK(wrong == 0);
  CHECK(answered == asked);
  CHECK(answered > reloads);
  CHECK(w.state("probe").generation == reloads + 1);
  CHECK(drains(w, "probe"));
  CHECK(fs::is_empty(w.dir.path / "generations"));
  CHECK(entries("/proc/self/fd") == files);
  w.ask("rustic.test/block");
  CHECK(w.plugins.stop(1000).empty());
  CHECK(eventually([&] { return entries("/proc/self/task") == threads; }));
  // Each generation stays mapped: its relocated pages, and what of its code has run.
  const auto each = grown_bytes / static_cast<std::size_t>(reloads - reloads / 10);
  MESSAGE("reloads " << reloads << ", calls meanwhile " << answered.load()
                     << ", bytes for a generation " << each);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  CHECK(each < 512 * 1024);
#endif
}

TEST_CASE("a generation of a small plugin costs less than 64 KiB") {
  world w;
  const fs::path hello = HELLO_FILE;
  w.plugins.add(inspect_plugin(hello));
  REQUIRE(w.plugins.activate("hello-c") == "");
  for (int i = 0; i < 20; ++i) REQUIRE(w.plugins.reload("hello-c", hello) == "");
  const auto before = resident_bytes();
  constexpr std::size_t rounds = 200;
  for (std::size_t i = 0; i < rounds; ++i) REQUIRE(w.plugins.reload("hello-c", hello) == "");
  const auto each = (resident_bytes() - std::min(resident_bytes(), before)) / rounds;
  MESSAGE("bytes for a generation: " << each);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  CHECK(each < 64 * 1024);
  CHECK(fs::file_size(hello) < 64 * 1024);  // the blocks of its copy stay with the mapping
#endif
  CHECK(fs::is_empty(w.dir.path / "generations"));
}

TEST_CASE("whoever writes over a file harms nothing that was opened from a private copy") {
  world w(copied_only);
  w.configs["probe"] = R"({"tag":"first"})";
  const auto file = copy_of_probe(w.dir, "live.so");
  w.plugins.add(inspect_plugin(file));
  CHECK(w.ask("rustic.test/co", "tag") == R"({"tag":"first"})");
  CHECK(!is_mapped(file));
  CHECK(fs::is_empty(w.dir.path / "generations"));
  std::ofstream(file, std::ios::binary | std::ios::trunc) << "not a plugin at all";
  for (int i = 0; i < 50; ++i) {
    CHECK(w.ask("rustic.test/co", "tag") == R"({"tag":"first"})");
    w.ask("rustic.test/block", "throw", "{}", RAI_INTERNAL);
  }
  fs::resize_file(file, 0);
  CHECK(w.ask("rustic.test/block", "tag") == R"({"tag":"first"})");
  CHECK(w.plugins.reload("probe", file).find("not an ELF file") != std::string::npos);
  CHECK(w.state("probe").replacement_problem.find("not an ELF file") != std::string::npos);
  CHECK(w.state("probe").state == plugin_state::active);
  fs::copy_file(probe_file, file, fs::copy_options::overwrite_existing);
  w.configs["probe"] = R"({"tag":"second"})";
  CHECK(w.plugins.reload("probe", file) == "");
  CHECK(w.state("probe").replacement_problem.empty());
  CHECK(w.ask("rustic.test/co", "tag") == R"({"tag":"second"})");
}

TEST_CASE("a copy that there is no room for leaves the old one serving, and nothing behind") {
  world w(copied_only);
  w.plugins.add(inspect_plugin(probe_file));
  w.ask("rustic.test/co");
  const auto files = entries("/proc/self/fd");
  const auto before = signal(SIGXFSZ, SIG_IGN);
  rlimit whole{};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &whole) == 0);
  rlimit small = whole;
  small.rlim_cur = 4096;
  REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
  const auto problem = w.plugins.reload("probe", probe_file);
  REQUIRE(setrlimit(RLIMIT_FSIZE, &whole) == 0);
  signal(SIGXFSZ, before);
  CHECK(problem.find("cannot copy") != std::string::npos);
  CHECK(w.state("probe").generation == 1);
  CHECK(w.state("probe").replacement_problem == problem);
  CHECK(fs::is_empty(w.dir.path / "generations"));
  CHECK(entries("/proc/self/fd") == files);
  w.ask("rustic.test/block");
  CHECK(w.plugins.reload("probe", probe_file) == "");
  w.ask("rustic.test/co");
}

TEST_CASE("a file that changed between the look at it and the first call is not opened") {
  world w(copied_only);
  const auto file = copy_of_probe(w.dir, "swapped.so");
  w.plugins.add(inspect_plugin(file));
  fs::rename(copy_of_probe(w.dir, "other.so"), file);
  CHECK(w.ask("rustic.test/co", "echo", "{}", RAI_FAILED_PRECONDITION).find("has changed") !=
        std::string::npos);
  CHECK(w.plugins.reload("probe", file) == "");
  w.ask("rustic.test/co");
  const auto seen = inspect_plugin(file).identity;
  fs::rename(copy_of_probe(w.dir, "third.so"), file);
  CHECK(w.plugins.reload("probe", file, seen).find("has changed") != std::string::npos);
  CHECK(w.plugins.reload("probe", file, inspect_plugin(file).identity) == "");
}

TEST_CASE("another mode or another name of a file is no change of it") {
  world w(copied_only);
  const auto file = copy_of_probe(w.dir, "mode.so");
  const auto seen = inspect_plugin(file);
  w.plugins.add(seen);
  fs::permissions(file, fs::perms::owner_read);
  w.ask("rustic.test/co");
  fs::create_hard_link(file, w.dir.path / "name.so");
  CHECK(w.plugins.reload("probe", file, seen.identity) == "");
  CHECK(w.plugins.reload(seen) == "");
}

TEST_CASE("a new generation that needs what nothing offers is not opened") {
  world w;
  w.plugins.add(inspect_plugin(probe_file));
  w.ask("rustic.test/co");
  std::ifstream in(probe_file, std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(in)), {});
  constexpr std::string_view before = R"("config": {"type": "object"})";
  constexpr std::string_view then = R"("requires": ["rustic.no/x"] )";
  static_assert(before.size() == then.size());
  const auto at = bytes.find(before);
  REQUIRE(at != std::string::npos);
  const auto needy = w.dir.path / "needy.so";
  std::ofstream(needy, std::ios::binary) << bytes.replace(at, before.size(), then);
  fs::permissions(needy, fs::perms::owner_all);
  CHECK(w.plugins.reload("probe", needy) == "it needs rustic.no/x, which nothing offers");
  CHECK(w.state("probe").generation == 1);
  w.ask("rustic.test/co");
  service there;
  w.b.provide("rustic.no/x", there, "somebody");
  CHECK(w.plugins.reload("probe", needy) == "");
  CHECK(w.state("probe").generation == 2);
}

TEST_CASE("the place for private copies has to be the user's own") {
  scratch dir;
  const auto place = dir.path / "shared";
  fs::create_directory(place);
  fs::permissions(place, fs::perms::all);
  world w([&](loader::settings& with) {
    copied_only(with);
    with.generation_directory = place;
  });
  w.plugins.add(inspect_plugin(probe_file));
  CHECK(w.ask("rustic.test/co", "echo", "{}", RAI_FAILED_PRECONDITION).find("written by others") !=
        std::string::npos);
  fs::permissions(place, fs::perms::owner_all);
  if (geteuid() == 0) {  // nobody else can give a directory away
    REQUIRE(chown(dir.path.c_str(), 65534, 65534) == 0);
    CHECK(w.ask("rustic.test/co", "echo", "{}", RAI_FAILED_PRECONDITION)
              .find(dir.path.string() + " belongs to another user") != std::string::npos);
    REQUIRE(chown(dir.path.c_str(), 0, 0) == 0);
  }
  w.ask("rustic.test/co");
}

TEST_CASE("copies of processes that ended are swept, those of living and new ones stay") {
  scratch dir;
  const pid_t gone = fork();
  if (gone == 0) _exit(0);
  waitpid(gone, nullptr, 0);
  const auto make = [&](pid_t maker, bool old) {
    const auto file = dir.path / ("a-b-" + std::to_string(maker) + "-3-AbC" +
                                  std::string(old ? "old" : "new") + ".so");
    std::ofstream(file) << "x";
    if (old) fs::last_write_time(file, fs::file_time_type::clock::now() - std::chrono::hours(1));
    return file;
  };
  const auto stale = make(gone, true), fresh = make(gone, false);
  const auto mine = make(getpid(), true), parents = make(getppid(), true);
  std::ofstream(dir.path / "foreign.so") << "x";
  CHECK(sweep_private_copies(dir.path) == 1);
  CHECK(!fs::exists(stale));
  CHECK(fs::exists(fresh));
  CHECK(fs::exists(mine));
  CHECK(fs::exists(parents));
  CHECK(fs::exists(dir.path / "foreign.so"));
  CHECK(sweep_private_copies(dir.path / "missing") == 0);
}

TEST_CASE("what a plugin keeps is handed to the next generation") {
  world w;
  w.plugins.add(inspect_plugin(probe_file));
  w.ask("rustic.test/block", "keep", R"({"text":"precious"})");
  REQUIRE(w.plugins.reload("probe", probe_file) == "");
  CHECK(w.ask("rustic.test/block", "kept") == R"({"text":"precious"})");

  w.configs["probe"] = R"({"restore":"it is of another kind"})";
  CHECK(w.plugins.reload("probe", probe_file).find("of another kind") != std::string::npos);
  CHECK(w.ask("rustic.test/block", "kept") == R"({"text":"precious"})");

  w.configs["probe"] = R"({"save":"the disk is full"})";
  REQUIRE(w.plugins.reload("probe", probe_file) == "");
  CHECK(w.ask("rustic.test/block", "kept") == R"({"text":"precious"})");
  w.configs["probe"] = "{}";
  REQUIRE(w.plugins.reload("probe", probe_file) == "");
  CHECK(w.ask("rustic.test/block", "kept") == R"({"text":""})");
}

TEST_CASE("a stand-in is opened in place of the plugin, with what it is told, until it is not") {
  std::string image_seen;
  std::atomic<bool> isolated{true};
  world w([&](loader::settings& with) {
    copied_only(with);
    with.isolate = [&](const plugin_file& file, const fs::path& image,
                       const std::string& config) -> std::optional<stand_in> {
      image_seen = image.string();
      CHECK(fs::exists(image));
      CHECK(config == R"({"tag":"plain"})");
      if (file.about.id == "probe" && isolated) return stand_in{probe_file, R"({"tag":"held"})"};
      return std::nullopt;
    };
  });
  w.configs["probe"] = R"({"tag":"plain"})";
  const auto file = copy_of_probe(w.dir, "held.so");
  w.plugins.add(inspect_plugin(file));
  CHECK(w.ask("rustic.test/co", "tag") == R"({"tag":"held"})");
  CHECK(w.state("probe").isolated);
  CHECK(image_seen.starts_with((w.dir.path / "generations").string()));
  CHECK(!fs::exists(image_seen));
  CHECK(is_mapped(probe_file));
  isolated = false;
  CHECK(w.plugins.reload("probe", file) == "");
  CHECK(w.ask("rustic.test/co", "tag") == R"({"tag":"plain"})");
  CHECK(!w.state("probe").isolated);
}

TEST_CASE("a plugin that has to be isolated and cannot be is not run") {
  world w([](loader::settings& with) {
    with.isolate = [](const plugin_file&, const fs::path&,
                      const std::string&) -> std::optional<stand_in> {
      throw std::runtime_error("it has to run in the cell, and there is none");
    };
  });
  w.plugins.add(inspect_plugin(probe_file));
  CHECK(w.ask("rustic.test/co", "echo", "{}", RAI_FAILED_PRECONDITION).find("there is none") !=
        std::string::npos);
  CHECK(w.state("probe").state == plugin_state::failed);
}

TEST_CASE("a new generation does not take what another plugin offers") {
  world w;
  service other;
  w.b.provide("rustic.test/block", other, "somebody");
  w.plugins.add(inspect_plugin(probe_file));
  w.ask("rustic.test/co");
  CHECK(w.plugins.reload("probe", probe_file) == "");
  CHECK(w.b.k.names().find("rustic.test/block")->owner == "somebody");
  CHECK(w.b.k.names().find("rustic.test/co")->owner == "probe");
}

TEST_CASE("an unloaded plugin comes back with a reload, and one added meanwhile serves") {
  world w;
  w.plugins.add(inspect_plugin(probe_file));
  w.ask("rustic.test/co");
  CHECK(w.plugins.unload("probe", 1000) == "");
  CHECK(w.state("probe").targets.empty());
  w.ask("rustic.test/co", "echo", "{}", RAI_NOT_FOUND);
  CHECK(w.plugins.reload("probe", probe_file) == "");
  w.ask("rustic.test/co");
  w.plugins.add(posing_as(probe_file, "late"));
  w.ask("rustic.test/late");
}

TEST_CASE("a plugin is unloaded and taken up again while everybody calls it") {
  world w;
  w.configs["probe"] = R"({"tag":"x","offers":["rustic.test/extra"],"hears":"news.*"})";
  w.plugins.add(inspect_plugin(probe_file));
  std::atomic<bool> over{false};
  std::atomic<int> answered{0}, wrong{0};
  std::vector<std::thread> callers;
  for (const char* target : {"rustic.test/co", "rustic.test/block", "rustic.test/extra"})
    callers.emplace_back([&, target] {
      while (!over) {
        caller who;
        const auto id = w.b.k.call(0, request_for(target, "tag"), who.observer(), {});
        if (answered % 7 == 0) w.b.k.cancel(id);
        w.b.k.events().publish("news.today", "{}");
        if (!who.wait_finished() || who.finishes() != 1) ++wrong;
        const auto status = who.status();
        if (status == RAI_OK) ++answered;
        if (status != RAI_OK && status != RAI_NOT_FOUND && status != RAI_CANCELLED &&
            status != RAI_FAILED_PRECONDITION)
          ++wrong;
      }
    });
  for (int i = 0; i < reloads / 20; ++i) {
    CHECK(w.plugins.reload("probe", probe_file) == "");
    const int before = answered;
    CHECK(eventually([&] { return answered > before; }));
    CHECK(w.plugins.unload("probe", 20'000) == "");
  }
  over = true;
  for (auto& one : callers) one.join();
  CHECK(wrong == 0);
  CHECK(w.b.k.live_calls() == 0);
  CHECK(w.plugins.stop(1000).empty());
}
