#include "base/process.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "base/error.h"
#include "base/files.h"

namespace alma {

namespace {

bool output_was_closed = false;

}  // namespace

void prepare_process() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(stream, F_GETFD) >= 0) continue;
    if (stream == STDOUT_FILENO) output_was_closed = true;
    // The lowest free descriptor is this one: those below are open by now.
    if (::open("/dev/null", O_RDWR) != stream)
      fail("standard stream ", stream, " is closed, and /dev/null cannot take its place: ", system_error_text(errno));
  }
  ::signal(SIGXFSZ, SIG_IGN);
  ::signal(SIGCHLD, SIG_DFL);
}

void require_standard_output() {
  if (output_was_closed)
    fail("cannot write standard output: it is closed, and the result goes there; expected a file or a pipe");
}

}  // namespace alma
