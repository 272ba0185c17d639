// plugin_validate.cpp - becomes the program rustic-ai-validator, which lies beside this one: a
// plugin that is being tried out must not do it in the program that a person uses.
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "host/cli/commands.hpp"

namespace rustic::cli {

exit_code plugin_validate_command(program&, const arguments& given) {
  namespace fs = std::filesystem;
  std::error_code problem;
  const auto own = fs::read_symlink("/proc/self/exe", problem);
  const auto validator = own.parent_path().parent_path() / "libexec/rustic-ai/rustic-ai-validator";
  const auto& options = given.validate;
  std::vector<std::string> words{validator.filename().string(), "--output", options.output,
                                 "--strictness", std::to_string(options.strictness)};
  for (const auto& one : options.only) words.insert(words.end(), {"--only", one});
  if (options.seed) words.insert(words.end(), {"--seed", std::to_string(*options.seed)});
  if (options.in_process) words.emplace_back("--in-process");
  words.insert(words.end(), {"--", given.subject});
  std::vector<char*> pointers;
  for (auto& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  ::execv(validator.c_str(), pointers.data());
  throw failure(status_code::failed_precondition,
                "starting " + validator.string() + ": " + std::strerror(errno),
                "install the whole of Rustic-AI; the validator is a program beside it");
}
}  // namespace rustic::cli
