#include "host/cli/standard_streams.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace rustic::cli {

void fill_closed_streams() noexcept {
  for (int descriptor = 0; descriptor <= STDERR_FILENO; ++descriptor) {
    if (fcntl(descriptor, F_GETFD) != -1 || errno != EBADF) continue;
    // The lowest free number is this one.
    (void)open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
}

bool finish_standard_output() noexcept {
  errno = 0;
  const bool failed_now = std::fflush(stdout) != 0;
  const int cause = errno;
  if (!failed_now && std::ferror(stdout) == 0) return true;
  pollfd output{STDOUT_FILENO, 0, 0};
  const bool reader_gone =
      cause == EPIPE || (poll(&output, 1, 0) > 0 && (output.revents & POLLERR));
  if (!reader_gone)
    std::fprintf(stderr, "rustic-ai: writing to standard output%s%s\n", cause ? ": " : " failed",
                 cause ? strerror(cause) : "");
  return false;
}
}  // namespace rustic::cli
