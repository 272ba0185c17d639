// host/cli/demo.hpp - a recorded conversation, played with the tools run for real. Needs no key.
#pragma once
#include <filesystem>
#include <rustic/json.hpp>

#include "host/cli/exit_code.hpp"
#include "host/cli/program.hpp"
#include "host/cli/signals.hpp"
#include "host/runtime/options.hpp"

namespace rustic::cli {

exit_code demo(program& with, signal_watch& signals);

// What the demo shares with the program that records it.

// {"prompts": [...], "files": {name: content}}. Throws failure when the file is missing.
json::object read_demo_script(const std::filesystem::path& file);
void write_demo_files(const json::object& script, const std::filesystem::path& directory);
// One provider "recording", one agent "demo", sessions in memory.
void set_demo_stage(runtime::options& options, json::object provider, json::object recorder);
}  // namespace rustic::cli
