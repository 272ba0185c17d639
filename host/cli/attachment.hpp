// host/cli/attachment.hpp - "@path" in what a person types: the file goes along with the words.
#pragma once
#include <filesystem>
#include <rustic/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "host/cli/line_editor.hpp"

namespace rustic::cli {

// The parts of a message: the text as typed, then one part for each @path that names a readable
// file (a quoted "@\"a b\"" too): text files as text, images as images. Words such as
// @someone that name nothing stay words. What could not be attached is said in `problems`.
json::array message_parts(std::string_view text, const std::filesystem::path& workspace,
                          std::vector<std::string>& problems);

// Files that the @word at the end of `before` could become.
completion complete_path(std::string_view before, const std::filesystem::path& workspace);
}  // namespace rustic::cli
