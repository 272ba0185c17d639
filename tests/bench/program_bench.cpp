// program_bench: what the whole program costs, from outside, against a fake model on loopback.
// docs/performance.md tells what each figure means.
#include <poll.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "fake_model.hpp"
#include "measured_process.hpp"

namespace {
using namespace rustic::bench;
namespace fs = std::filesystem;
namespace json = boost::json;

constexpr std::size_t stream_events = 10'000;
constexpr int stall_ms = 400;  // the model's silence while memory is read

struct settings {
  fs::path build = fs::read_symlink("/proc/self/exe").parent_path().parent_path();
  fs::path work = fs::temp_directory_path();
  std::string json_file;
  std::string only;
  int runs = 9;
  int rounds = 50;
  int idle_s = 60;
  int turns = 10'000;
  int history_mb = 60;
};

struct row {
  std::string name;
  std::string unit;
  std::string goal;  // empty: a figure that explains another
  std::vector<double> samples;
};

double percentile(std::vector<double> of, double part) {
  if (of.empty()) return 0;
  std::sort(of.begin(), of.end());
  return of[static_cast<std::size_t>(part * static_cast<double>(of.size() - 1) + 0.5)];
}
double median(const std::vector<double>& of) {
  return percentile(of, 0.5);
}

json::object saying(const std::string& prompt, const std::string& text, std::size_t repeat = 1) {
  return {{"match", prompt}, {"text", text}, {"repeat", repeat}, {"times", 0}};
}

// A home with nothing but a configuration, and an empty workspace outside git.
class world {
 public:
  world(const settings& with, const json::array& steps)
      : with_(with),
        folder_(make_folder(with.work)),
        model_((with.build / "bin/rustic-fake-model").string(), steps, folder_.string()) {
    fs::create_directories(folder_ / "home/.config/rustic-ai");
    fs::create_directories(folder_ / "workspace");
    std::ofstream(folder_ / "home/.config/rustic-ai/config.toml")
        << "[providers.fake]\ntype = \"openai\"\nbase_url = \"" << model_.base_url()
        << "\"\nmodel = \"fake-model\"\n\n[agents.coder]\nprovider = \"fake\"\n"
           "system_prompt = \"You are a careful engineer.\"\n";
  }
  ~world() {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }
  world(const world&) = delete;
  world& operator=(const world&) = delete;

  command program(const std::vector<std::string>& words) const {
    command out;
    out.words = {(with_.build / "bin/rustic-ai").string()};
    out.words.insert(out.words.end(), words.begin(), words.end());
    out.environment = {"HOME=" + (folder_ / "home").string(), "PATH=/usr/bin:/bin", "LANG=C.UTF-8",
                       "TERM=xterm"};
    out.directory = workspace().string();
    return out;
  }
  fake_model& model() { return model_; }
  fs::path workspace() const { return folder_ / "workspace"; }
  fs::path folder() const { return folder_; }

 private:
  static fs::path make_folder(const fs::path& below) {
    std::string name = (below / "rustic-bench-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make " + name);
    return name;
  }

  const settings& with_;
  fs::path folder_;
  fake_model model_;
};

cost run_well(const command& what, const std::function<void(pid_t)>& meanwhile = {}) {
  const cost out = run(what, meanwhile);
  if (out.exit_status != 0)
    throw std::runtime_error(what.words[0] + " ended with " + std::to_string(out.exit_status));
  return out;
}

class bench {
 public:
  explicit bench(settings with) : with_(std::move(with)) {}

  void all() {
    part("version", [this] { version(); });
    part("chat", [this] { chat(); });
    part("stream", [this] { stream(); });
    part("round", [this] { rounds(); });
    part("idle", [this] { idle(); });
    part("history", [this] { history(); });
    part("turns", [this] { turns(); });
    print();
  }

 private:
  void part(std::string_view name, const std::function<void()>& play) {
    if (!with_.only.empty() && with_.only != name) return;
    std::fprintf(stderr, "%s ...\n", std::string(name).c_str());
    play();
  }

  void calibrate() { true_ms_.push_back(run_well({{"/bin/true"}, {}, {}}).wall_ms); }

  row& add(std::string name, std::string unit, std::string goal = {}) {
    rows_.push_back({std::move(name), std::move(unit), std::move(goal), {}});
    return rows_.back();
  }

  void version() {
    world at(with_, {});
    const auto command = at.program({"--version"});
    (void)run_well(command);
    std::vector<double> wall;
    for (int i = 0; i < with_.runs * 5; ++i) {
      calibrate();
      wall.push_back(run_well(command).wall_ms);
    }
    add("--version, wall", "ms", "3").samples = wall;
  }

  void chat() {
    json::array steps{saying("Say hello.", "Hello.")};
    json::object slow = saying("Say it slowly.", "Hello.");
    slow["delay_ms"] = stall_ms;
    steps.push_back(slow);
    world at(with_, steps);
    const auto command = at.program({"chat", "Say hello."});
    (void)run_well(command);
    (void)at.model().take(1);
    std::vector<double> first, wall, cpu, rss;
    for (int i = 0; i < with_.runs * 2; ++i) {
      calibrate();
      const cost one = run_well(command);
      first.push_back(static_cast<double>(at.model().take(1)[0].received_first_ns - one.begin_ns) /
                      1e6);
      wall.push_back(one.wall_ms);
      cpu.push_back(one.cpu_ms);
      rss.push_back(one.peak_rss_mb);
    }
    add("chat, start to first request", "ms", "15").samples = first;
    add("chat, wall", "ms").samples = wall;
    add("chat, CPU", "ms").samples = cpu;
    add("chat, peak RSS", "MB", "20").samples = rss;
    std::vector<double> pss;
    for (int i = 0; i < 3; ++i) {
      (void)run_well(at.program({"chat", "Say it slowly."}), [&](pid_t pid) {
        poll(nullptr, 0, stall_ms / 2);
        pss.push_back(memory_of(pid).pss_mb);
      });
      (void)at.model().take(1);
    }
    add("chat, PSS while it waits for the model", "MB").samples = pss;
  }

  void stream() {
    world at(with_, {saying("Say hello.", "Hello."), saying("Say much.", "word ", stream_events)});
    const auto text = at.program({"chat", "Say hello."});
    const auto much = at.program({"chat", "Say much."});
    (void)run_well(text);
    (void)at.model().take(1);
    std::vector<double> per_token, speed, rss;
    for (int i = 0; i < with_.runs; ++i) {
      calibrate();
      const cost little = run_well(text);
      const cost long_one = run_well(much);
      const auto times = at.model().take(2);
      per_token.push_back((long_one.cpu_ms - little.cpu_ms) * 1e3 / stream_events);
      const double exit_ns = static_cast<double>(long_one.begin_ns) + long_one.wall_ms * 1e6;
      const double tail_ns = static_cast<double>(little.begin_ns) + little.wall_ms * 1e6 -
                             static_cast<double>(times[0].sent_last_ns);
      speed.push_back(stream_events /
                      ((exit_ns - static_cast<double>(times[1].sent_first_ns) - tail_ns) / 1e9));
      rss.push_back(long_one.peak_rss_mb);
    }
    add("stream, CPU per token (minus a text run)", "us", "3").samples = per_token;
    add("stream, tokens per second", "1/s").samples = speed;
    add("stream, peak RSS", "MB").samples = rss;
  }

  void rounds() {
    std::vector<double> medians, p05, p95, firsts;
    for (int i = 0; i < with_.runs; ++i) {
      json::array steps;
      for (int k = 0; k < with_.rounds; ++k) {
        json::object call{{"name", "shell"},
                          {"arguments", json::object{{"command", "true " + std::to_string(k)}}}};
        steps.push_back(json::object{{"tool_calls", json::array{std::move(call)}}});
      }
      steps.push_back(saying("", "Done."));
      world at(with_, steps);
      calibrate();
      (void)run_well(at.program({"chat", "--permission-mode", "bypass", "--max-rounds",
                                 std::to_string(with_.rounds + 1), "Do it."}));
      const auto times = at.model().take(static_cast<std::size_t>(with_.rounds) + 1);
      std::vector<double> gaps;
      for (std::size_t k = 1; k < times.size(); ++k)
        gaps.push_back(static_cast<double>(times[k].received_first_ns - times[k - 1].sent_last_ns) /
                       1e6);
      firsts.push_back(gaps[0]);
      medians.push_back(median(gaps));
      p05.push_back(percentile(gaps, 0.05));
      p95.push_back(percentile(gaps, 0.95));
    }
    add("tool round, median of a run", "ms", "2").samples = medians;
    add("tool round, 5th percentile of a run", "ms").samples = p05;
    add("tool round, 95th percentile of a run", "ms").samples = p95;
    add("tool round, the first of a run", "ms").samples = firsts;
  }

  void idle() {
    world at(with_, {saying("Say hello.", "Hello.")});
    terminal_process terminal(at.program({}));
    (void)terminal.settle(300, 20'000);
    terminal.type("Say hello.\n");
    (void)at.model().take(1);
    (void)terminal.settle(500, 20'000);
    poll(nullptr, 0, 1000);
    const activity before = activity_of(terminal.pid());
    const memory used = memory_of(terminal.pid());
    poll(nullptr, 0, with_.idle_s * 1000);
    const activity after = activity_of(terminal.pid());
    const std::string over = " in " + std::to_string(with_.idle_s) + " s";
    add("idle REPL after one turn, RSS", "MB", "25").samples = {used.rss_mb};
    add("idle REPL, PSS", "MB").samples = {used.pss_mb};
    add("idle REPL, voluntary switches" + over, "", "0").samples = {
        static_cast<double>(after.voluntary_switches - before.voluntary_switches)};
    add("idle REPL, CPU" + over, "ms", "0").samples = {after.cpu_ms - before.cpu_ms};
    add("idle REPL, threads", "").samples = {static_cast<double>(after.threads)};
  }

  std::string helper() const { return (with_.build / "bin/runtime_bench").string(); }
  std::string plugins() const { return (with_.build / "lib/rustic-ai/plugins").string(); }

  void history() {
    world at(with_, {saying("Say hello.", "Hello.")});
    const fs::path database = at.folder() / "home/.local/share/rustic-ai/sessions.db";
    fs::create_directories(database.parent_path());
    std::string id = output_of({{helper(), "history", plugins(), database.string(),
                                 at.workspace().string(), std::to_string(with_.history_mb)},
                                {},
                                {}});
    id.erase(id.find('\n'));
    const auto command = at.program({"chat", "-r", id, "Say hello."});
    (void)run_well(command);
    (void)at.model().take(1);
    std::vector<double> first, rss;
    for (int i = 0; i < with_.runs; ++i) {
      calibrate();
      const cost one = run_well(command);
      first.push_back(static_cast<double>(at.model().take(1)[0].received_first_ns - one.begin_ns) /
                      1e6);
      rss.push_back(one.peak_rss_mb);
    }
    const std::string of = std::to_string(with_.history_mb) + " MB history, ";
    add(of + "start to first request", "ms", "300").samples = first;
    add(of + "peak RSS", "MB", "bounded").samples = rss;
  }

  void turns() {
    world at(with_, {saying("Say hello.", "Hello.")});
    const int step = std::max(with_.turns / 20, 1);
    std::istringstream lines(output_of({{helper(), "turns", plugins(), at.model().base_url(),
                                         std::to_string(with_.turns), std::to_string(step)},
                                        {},
                                        {}}));
    std::vector<double> mb;
    int turn = 0;
    for (double kib = 0; lines >> turn >> kib;) mb.push_back(kib / 1024);
    // The first fifth is warm-up.
    const std::size_t begin = mb.size() / 5;
    const std::string of = std::to_string(with_.turns) + " turns, ";
    add(of + "RSS after warm-up", "MB").samples = {mb.at(begin)};
    add(of + "RSS at the end", "MB").samples = {mb.back()};
    const double grown = (mb.back() - mb[begin]) * 1024 * 1024;
    add(of + "growth per turn after warm-up", "bytes", "0").samples = {
        grown / (with_.turns * static_cast<double>(mb.size() - begin - 1) /
                 static_cast<double>(mb.size()))};
  }

  void print() {
    if (!true_ms_.empty()) add("/bin/true, wall (calibration)", "ms").samples = true_ms_;
    json::array out;
    std::printf(
        "| measured | unit | goal | median | min | max | n |\n|---|---|---|---|---|---|---|\n");
    for (const row& one : rows_) {
      const double low = percentile(one.samples, 0);
      const double high = percentile(one.samples, 1);
      std::printf("| %s | %s | %s | %.2f | %.2f | %.2f | %zu |\n", one.name.c_str(),
                  one.unit.c_str(), one.goal.c_str(), median(one.samples), low, high,
                  one.samples.size());
      out.push_back(json::object{{"name", one.name},
                                 {"unit", one.unit},
                                 {"goal", one.goal},
                                 {"median", median(one.samples)},
                                 {"min", low},
                                 {"max", high},
                                 {"samples", json::value_from(one.samples)}});
    }
    if (!with_.json_file.empty()) std::ofstream(with_.json_file) << json::serialize(out) << "\n";
  }

  const settings with_;
  std::vector<row> rows_;
  std::vector<double> true_ms_;
};

settings read(int count, char** words) {
  settings out;
  for (int i = 1; i < count; i += 2) {
    const std::string name = words[i];
    if (i + 1 == count) throw std::runtime_error(name + " needs a value");
    const std::string value = words[i + 1];
    if (name == "--build")
      out.build = value;
    else if (name == "--work")
      out.work = value;
    else if (name == "--json")
      out.json_file = value;
    else if (name == "--only")
      out.only = value;
    else if (name == "--runs")
      out.runs = std::stoi(value);
    else if (name == "--rounds")
      out.rounds = std::stoi(value);
    else if (name == "--idle-s")
      out.idle_s = std::stoi(value);
    else if (name == "--turns")
      out.turns = std::stoi(value);
    else if (name == "--history-mb")
      out.history_mb = std::stoi(value);
    else
      throw std::runtime_error("no such option: " + name);
  }
  return out;
}

}  // namespace

int main(int count, char** words) {
  try {
    bench(read(count, words)).all();
    return 0;
  } catch (const std::exception& problem) {
    std::fprintf(stderr,
                 "program_bench: %s\n"
                 "usage: program_bench [--only version|chat|stream|round|idle|history|turns]\n"
                 "       [--runs N] [--rounds N] [--idle-s N] [--turns N] [--history-mb N]\n"
                 "       [--json FILE] [--build DIR] [--work DIR]\n",
                 problem.what());
    return 1;
  }
}
