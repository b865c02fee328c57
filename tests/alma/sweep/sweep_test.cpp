// A sweep where the system has no room for its processes.
#include "alma/sweep/sweep.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include "alma/sweep/worker.h"
#include "tests/data/files.h"

namespace alma::test {
namespace {

void limit_files(rlim_t files) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = files;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

struct Listener : Sweep::Listener {
  explicit Listener(rlim_t room) : files(room) {}
  void probing(std::size_t, std::size_t) override {}
  void warned(const SweepRun&, const std::string&) override {}
  void put_off(const std::string& why) override {
    ++puts_off;
    reason = why;
    if (files > 0) limit_files(files);
  }
  void ended(const SweepRun& run) override { ended_with += run.error.empty() ? "done " : "failed "; }
  void tick() override {}

  rlim_t files;  // that become possible as soon as something is put off; 0: none
  int puts_off = 0;
  std::string reason, ended_with;
};

std::vector<GridPoint> two_runs() {
  return parse_grid(
             "[set]\nstream.dataset = \"synthetic-images\"\nstream.synthetic_train = 60\nstream.synthetic_test = 20\n"
             "stream.mega_batches = 2\nmodel.width = 4\ntrain.max_epochs = 1\n[axes]\nseed = [0, 1]\n",
             "test", ".")
      .points;
}

/// No file more can be opened.
void use_up_files() {
  // UBSan asks the system through a pipe about an object of a type that it has not met yet, and without one takes it for
  // garbage. So it meets here what is thrown later.
  try {
    throw CannotStart(ErrorKind::failed, "nothing yet");
  } catch (const CannotStart& error) {
    if (error.what() != std::string("nothing yet")) std::_Exit(2);
  }
  const int next = ::open("/dev/null", O_RDONLY);
  ::close(next);
  limit_files(static_cast<rlim_t>(next));
}

// Limits are of the process, so each case has one of its own; it ends with 42 if all went well.
TEST(SweepDeathTest, RunsWaitUntilThereIsRoomForTheirProcesses) {
  const TemporaryFolder folder;
  EXPECT_EXIT(
      {
        Listener listener(256);
        Sweep sweep(two_runs(), {folder.path(), 2, "cpu", 1}, listener);
        use_up_files();
        const bool done = sweep.run();
        const bool told = listener.puts_off == 1 && listener.reason.find("open files") != std::string::npos;
        std::_Exit(done && told && listener.ended_with == "done done " ? 42 : 1);
      },
      testing::ExitedWithCode(42), "");
}

TEST(SweepDeathTest, WithoutRoomForAnyTheyFailInTheEnd) {
  const TemporaryFolder folder;
  EXPECT_EXIT(
      {
        Listener listener(0);
        Sweep sweep(two_runs(), {folder.path(), 2, "cpu", 1}, listener);
        use_up_files();
        const bool done = sweep.run();
        const std::string& error = sweep.runs()[0].error;
        const bool said = error.find("cannot make a pipe") != std::string::npos && listener.ended_with == "failed failed ";
        std::_Exit(done && said && listener.puts_off == 1 ? 42 : 1);
      },
      testing::ExitedWithCode(42), "");
}

}  // namespace
}  // namespace alma::test
