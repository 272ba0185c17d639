// Reads a POSIX sh or bash command line as a list of simple commands, and says so when it cannot.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace rustic::permission {

// One program that a line starts, with quotes taken away.
struct simple_command {
  // Wrappers that change nothing about what runs (env, timeout, nice, nohup, ...) are taken away;
  // one that changes rights (sudo, doas) stays. Empty: only assignments.
  std::vector<std::string> argv;
  // "NAME=VALUE" that stood before the program, or that env was given.
  std::vector<std::string> env;
  // So many leading words of argv are exactly what the program gets. The word after them holds an
  // expansion or a pattern, whose result is not known here.
  std::size_t known_words = 0;
  // The other ways to read it: with its wrappers, and what sudo runs. Only for rules that forbid.
  struct form {
    std::vector<std::string> argv;
    std::vector<bool> known;
  };
  std::vector<form> forms;
  std::vector<bool> known;  // for each word of argv
  // A pipe, a file or a here-document feeds it: argv alone does not tell what it does.
  bool reads_input = false;
};

struct shell_command {
  // Everything found, also inside substitutions and `sh -c`. Whole only when complete.
  std::vector<simple_command> commands;
  bool complete = true;
  std::string reason;  // why not complete, for a person
  // When not complete: the line as bare words, in several readings, to search for forbidden
  // programs.
  std::vector<std::vector<std::string>> readings;
};

// Pure, bounded (limits.hpp), never throws but for lack of memory. Any bytes are accepted.
[[nodiscard]] shell_command parse_shell_command(std::string_view line);

// The words of any text, split at blanks and at everything that is punctuation to a shell.
[[nodiscard]] std::vector<std::string> bare_words(std::string_view text, bool drop_quotes);

// "/usr/bin/rm" gives "rm".
[[nodiscard]] std::string_view program_name(std::string_view word);

}  // namespace rustic::permission
