// host/cli/standard_streams.hpp - standard input, output and error as the program found them.
#pragma once

namespace rustic::cli {

// A descriptor of 0 to 2 that is closed would be given to the next file that is opened, and what is
// meant for the terminal would be written into it. Such a one is filled with something that cannot
// be read or written, so that its use fails as before. First of all in main.
void fill_closed_streams() noexcept;

// Ends what stdio holds for standard output. False: some of it could not be written; then that has
// been told on standard error, but not when its reader has simply gone.
bool finish_standard_output() noexcept;
}  // namespace rustic::cli
