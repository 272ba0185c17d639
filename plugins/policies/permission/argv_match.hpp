// Compares a rule's words with a command: narrowly for what allows, widely for what forbids.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "shell_command.hpp"

namespace rustic::permission {

enum class likeness { no, maybe, yes };

// Allowing: the command begins with exactly these words, all of them known. whole: and has no
// others, nor an input that decides what it does.
[[nodiscard]] bool begins_with(const simple_command& command, const std::vector<std::string>& words,
                               bool whole);

// Forbidding: the same program wherever it stands in the file system, the rule's options in any
// order and spelling (-rf, -fr, -r -f, --recursive --force), its other words in order. known tells
// for each word whether it holds no expansion. maybe: an expansion could make it so.
[[nodiscard]] likeness resembles(const std::vector<std::string>& words,
                                 const std::vector<bool>& known,
                                 const std::vector<std::string>& rule);

// Forbidding, over a whole line: every command, what its wrappers run, what an unknown program may
// run, and, when the line is not understood, every word of it.
[[nodiscard]] likeness occurs_in(const shell_command& line, const std::vector<std::string>& rule);

}  // namespace rustic::permission
