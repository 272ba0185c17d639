// tests/e2e/demo_record.cpp - rustic-demo-record: plays the demo's script against the fake model
// and writes the recording that is shipped.
//
// usage: rustic-demo-record SHARE_DEMO_DIRECTORY PLUGIN_DIRECTORY
#include <stdlib.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "host/cli/demo.hpp"
#include "host/runtime/runtime.hpp"
#include "model_server.hpp"

namespace {
using namespace rustic;
namespace fs = std::filesystem;

std::string read_all(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void record(const fs::path& share, const fs::path& plugins, const fs::path& scratch) {
  const auto script = cli::read_demo_script(share / "demo.json");
  const auto workspace = scratch / "workspace";
  fs::create_directories(workspace);
  cli::write_demo_files(script, workspace);
  fakes::model_server server(fakes::parse_script(read_all(share / "model.json")));
  const auto whole = scratch / "whole.jsonl";
  {
    runtime::options options;
    options.plugin_directories = {plugins};
    cli::set_demo_stage(
        options, {{"type", "openai"}, {"base_url", server.base_url()}, {"model", "recording"}},
        {{"mode", "record"}, {"file", whole.string()}});
    options.state_directory = scratch / "state";
    options.data_directory = scratch / "data";
    options.cache_directory = scratch / "cache";
    options.environment["PATH"] = "/usr/bin:/bin";
    runtime::runtime rt(std::move(options));
    const json::object context{{"workspace", workspace.string()}, {"interactive", false}};
    const auto made = rt.call("rustic.conversation/default", "create",
                              {{"workspace", workspace.string()}}, context);
    for (const auto& prompt : array_or_empty(script, "prompts")) {
      json::object body{{"session", text_or(object_or_empty(made, "session"), "id")}};
      body["input"] = json::array{json::object{{"type", "text"}, {"text", prompt}}};
      const auto done = rt.call("rustic.agent/default", "turn", body, context);
      for (const auto& call : array_or_empty(done, "tool_calls"))
        if (!bool_or(call.as_object(), "success"))
          throw failure(status_code::internal, "a tool failed: " + json::serialize(call));
    }
  }
  // The tools run for real when it is played: their results, and with them the paths of this run,
  // go.
  std::ifstream in(whole);
  std::ofstream out(share / "demo.jsonl", std::ios::trunc);
  for (std::string line; std::getline(in, line);)
    if (line.find("{\"key\":\"rustic.tool/") != 0) out << line << "\n";
  out.flush();
  if (!out) throw failure(status_code::unavailable, "writing " + (share / "demo.jsonl").string());
}
}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: rustic-demo-record SHARE_DEMO_DIRECTORY PLUGIN_DIRECTORY\n", stderr);
    return 2;
  }
  std::string name = (fs::temp_directory_path() / "rustic-demo-record-XXXXXX").string();
  if (!mkdtemp(name.data())) return 1;
  int code = 0;
  try {
    record(argv[1], argv[2], name);
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "rustic-demo-record: %s\n", problem.what());
    code = 1;
  }
  std::error_code ignored;
  fs::remove_all(name, ignored);
  return code;
}
