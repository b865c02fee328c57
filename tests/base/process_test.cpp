#include "base/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "base/error.h"

namespace alma::test {
namespace {

// Descriptors, signals and limits are of the process, so each case has one of its own; it ends with 42 if all went well.

TEST(ProcessDeathTest, NoFileTakesThePlaceOfAClosedStandardStream) {
  for (int closed = 0; closed < 8; ++closed)
    EXPECT_EXIT(
        {
          for (int stream = 0; stream < 3; ++stream)
            if (closed >> stream & 1) ::close(stream);
          prepare_process();
          const int file = ::open("/dev/zero", O_RDONLY);
          for (int stream = 0; stream < 3; ++stream)
            if (::fcntl(stream, F_GETFD) < 0) std::_Exit(1);
          std::_Exit(file > 2 && ::write(1, "x", 1) == 1 ? 42 : 2);
        },
        testing::ExitedWithCode(42), "");
}

TEST(ProcessDeathTest, OnlyAResultNeedsStandardOutput) {
  prepare_process();
  EXPECT_NO_THROW(require_standard_output());
  EXPECT_EXIT(
      {
        ::close(STDOUT_FILENO);
        prepare_process();
        try {
          require_standard_output();
        } catch (const Error& error) {
          std::_Exit(error.kind() == ErrorKind::failed ? 42 : 1);
        }
        std::_Exit(2);
      },
      testing::ExitedWithCode(42), "");
}

TEST(ProcessDeathTest, AFileBeyondItsLimitIsAnError) {
  EXPECT_EXIT(
      {
        ::signal(SIGXFSZ, SIG_DFL);
        prepare_process();
        const rlimit limit{};  // 0 bytes
        ::setrlimit(RLIMIT_FSIZE, &limit);
        char name[] = "/tmp/alma-process-XXXXXX";
        const int file = ::mkstemp(name);
        ::unlink(name);
        const bool refused = ::write(file, "x", 1) < 0 && errno == EFBIG;
        std::_Exit(refused ? 42 : 1);
      },
      testing::ExitedWithCode(42), "");
}

TEST(ProcessDeathTest, ChildrenAreWaitedForAlsoIfTheirEndWasIgnored) {
  EXPECT_EXIT(
      {
        ::signal(SIGCHLD, SIG_IGN);
        prepare_process();
        const pid_t child = ::fork();
        if (child == 0) ::_exit(7);
        int status = 0;
        std::_Exit(::waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 7 ? 42 : 1);
      },
      testing::ExitedWithCode(42), "");
}

}  // namespace
}  // namespace alma::test
