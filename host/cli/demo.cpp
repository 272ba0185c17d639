#include "host/cli/demo.hpp"

#include <stdlib.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "host/cli/terminal.hpp"
#include "host/cli/turn_report.hpp"
#include "host/runtime/from_config.hpp"

namespace rustic::cli {
namespace {
namespace fs = std::filesystem;

// A directory that is gone when the demo is over.
class scratch_directory {
 public:
  explicit scratch_directory(const fs::path& parent) {
    auto name = (parent / "rustic-ai-demo-XXXXXX").string();
    const auto* made = mkdtemp(name.data());
    if (!made)
      throw failure(status_code::unavailable, "making a scratch directory in " + parent.string());
    path_ = made;
  }
  ~scratch_directory() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  scratch_directory(const scratch_directory&) = delete;
  scratch_directory& operator=(const scratch_directory&) = delete;
  const fs::path& path() const noexcept { return path_; }

 private:
  fs::path path_;
};

}  // namespace

json::object read_demo_script(const fs::path& file) {
  std::ifstream in(file);
  const std::string text((std::istreambuf_iterator<char>(in)), {});
  if (text.empty())
    throw failure(status_code::not_found, "playing the demo: " + file.string() + " is missing",
                  "reinstall rustic-ai");
  return parse_object(text, "demo");
}

void write_demo_files(const json::object& script, const fs::path& directory) {
  for (const auto& [name, content] : object_or_empty(script, "files")) {
    std::ofstream out(directory / fs::path(std::string(name)).filename());
    out << std::string_view(content.as_string()) << std::flush;
    if (!out)
      throw failure(status_code::unavailable, "writing the demo's files to " + directory.string(),
                    "make room, or set TMPDIR to another directory");
  }
}

void set_demo_stage(runtime::options& options, json::object provider, json::object recorder) {
  options.providers.clear();
  options.providers["recording"] = std::move(provider);
  options.agents.clear();
  options.agents.push_back(json::object{{"name", "demo"}, {"provider", "recording"}});
  options.storage = json::object{{"backend", "memory"}};
  // What the recording asks for was written for the scratch directory and touches nothing else.
  options.permissions = json::object{{"mode", "bypass"}};
  options.recorder = std::move(recorder);
}

exit_code demo(program& with, signal_watch& signals) {
  std::error_code problem;
  const auto executable = fs::read_symlink("/proc/self/exe", problem);
  const auto shared = executable.parent_path().parent_path() / "share/rustic-ai/demo";
  const auto script = read_demo_script(shared / "demo.json");
  const scratch_directory scratch(fs::temp_directory_path());
  write_demo_files(script, scratch.path());

  runtime::options options = runtime::from_config(with.configuration(), with.around(), executable);
  set_demo_stage(
      options, {{"type", "openai"}, {"base_url", "http://127.0.0.1:9/v1"}, {"model", "recording"}},
      {{"mode", "replay"}, {"file", (shared / "demo.jsonl").string()}, {"tools", "live"}});
  runtime::runtime runtime(std::move(options));

  const bool color = with.color_wanted(STDOUT_FILENO);
  std::printf(
      "%sThis is a recording.%s The model's words were recorded; no model is asked now.\n"
      "The tools run for real, in %s.\n\n",
      color ? "\x1b[1m" : "", color ? "\x1b[0m" : "", scratch.path().c_str());
  std::fflush(stdout);

  json::object context{{"workspace", scratch.path().string()}, {"interactive", false}};
  const auto made = runtime.call("rustic.conversation/default", "create",
                                 {{"workspace", scratch.path().string()}}, context);
  const std::string session(text_or(object_or_empty(made, "session"), "id"));
  for (const auto& prompt : array_or_empty(script, "prompts")) {
    std::printf("%s> %s%s\n", color ? "\x1b[1m" : "", prompt.as_string().c_str(),
                color ? "\x1b[0m" : "");
    std::fflush(stdout);
    json::object body{{"session", session}};
    body["input"] = json::array{json::object{{"type", "text"}, {"text", prompt}}};
    const auto report = turn_report::make(output_form::text, false, color);
    auto call = runtime.start("rustic.agent/default", "turn", body, context);
    std::optional<int> signal;
    while (!call->finished()) {
      while (auto event = call->try_next()) report->event(*event);
      if (call->finished()) break;
      wait_readable(call->descriptor(), signals.descriptor());
      if ((signal = signals.take())) call->cancel();
    }
    const auto outcome = call->result();
    error failed;
    if (!outcome.ok()) failed = outcome.problem();
    report->end(result_object(outcome.ok() ? outcome.object() : json::object(),
                              outcome.ok() ? nullptr : &failed, 0));
    std::puts("");
    if (signal) return exit_code::interrupted;
    if (!outcome.ok()) return exit_code::turn_failed;
  }
  std::puts(
      "That was the demo. With a model of your own:  export OPENAI_API_KEY=...  and run rustic-ai");
  return exit_code::done;
}
}  // namespace rustic::cli
