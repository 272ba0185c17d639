// What the permission policy knows about well-known programs: tables, no logic of rules.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace rustic::permission {

// How a program treats the words after it.
enum class program_kind {
  unknown,      // might run what it is given
  plain,        // runs nothing of what it is given
  viewer,       // plain, and only reads
  multi_verb,   // its first word says what it does: git, npm, ...
  interpreter,  // runs a script: python, perl, ...
  shell,        // sh, bash, ...
  wrapper,      // runs its argument with nothing else changed: timeout, nice, ...
  elevator,     // runs its argument with other rights: sudo, doas
  runner,       // runs its argument in a way that is not followed: xargs, ssh, ...
  builtin       // changes the shell itself, or runs text: eval, source, trap, ...
};

// name: without directory.
[[nodiscard]] program_kind kind_of(std::string_view name);

// Where the wrapped command begins.
struct unwrapped {
  enum class status { command, none, unclear };
  status result = status::unclear;
  std::size_t begin = 0;         // index of the inner program
  std::vector<std::string> env;  // assignments in front of it
};

// argv[0] is a wrapper or an elevator. unclear: an option that the table does not know.
[[nodiscard]] unwrapped unwrap(const std::vector<std::string>& argv);

// The script of `sh -c SCRIPT`: its index, 0 when there is none that can be read.
[[nodiscard]] std::size_t script_index(const std::vector<std::string>& argv);

// A shell whose grammar is the one read here.
[[nodiscard]] bool posix_shell(std::string_view name);

// A program of a kind that runs nothing of what it is given, called in a way that does: `git -c`,
// `docker exec`, `sort --compress-program`.
[[nodiscard]] bool runs_arguments(const std::vector<std::string>& argv);

// What is fed to the program decides what it does, as for `python3 <<EOF`.
[[nodiscard]] bool input_decides(std::string_view name);

// An environment variable that cannot make another program run.
[[nodiscard]] bool harmless_variable(std::string_view name);

// How many leading words of argv name what is done, for a lasting permission ("git push" is 2).
// 0: only the whole command may be remembered.
[[nodiscard]] std::size_t verb_words(const std::vector<std::string>& argv);

}  // namespace rustic::permission
