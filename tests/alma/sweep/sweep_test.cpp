// A sweep where the system has no room for its processes.
#include "alma/sweep/sweep.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "tests/data/files.h"

namespace {

bool room_for_pipes = true;

}  // namespace

// The program's own takes the place of the library's. A real limit on open files would reach sanitizers too, which look at
// memory through a pipe.
extern "C" int pipe2(int ends[2], int flags) noexcept {
  if (room_for_pipes) return static_cast<int>(::syscall(SYS_pipe2, ends, flags));
  errno = EMFILE;
  return -1;
}

namespace alma::test {
namespace {

struct Listener : Sweep::Listener {
  explicit Listener(bool room) : makes_room(room) {}
  void probing(std::size_t, std::size_t) override {}
  void warned(const SweepRun&, const std::string&) override {}
  void put_off(const std::string& why) override {
    ++puts_off;
    reason = why;
    room_for_pipes = makes_room;
  }
  void ended(const SweepRun& run) override { ended_with += run.error.empty() ? "done " : "failed "; }
  void tick() override {}

  bool makes_room;  // as soon as something is put off
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

// What is changed is of the process, so each case has one of its own; it ends with 42 if all went well.
TEST(SweepDeathTest, RunsWaitUntilThereIsRoomForTheirProcesses) {
  const TemporaryFolder folder;
  EXPECT_EXIT(
      {
        Listener listener(true);
        Sweep sweep(two_runs(), {folder.path(), 2, "cpu", 1}, listener);
        room_for_pipes = false;
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
        Listener listener(false);
        Sweep sweep(two_runs(), {folder.path(), 2, "cpu", 1}, listener);
        room_for_pipes = false;
        const bool done = sweep.run();
        const std::string& error = sweep.runs()[0].error;
        const bool said = error.find("cannot make a pipe") != std::string::npos && listener.ended_with == "failed failed ";
        std::_Exit(done && said && listener.puts_off == 1 ? 42 : 1);
      },
      testing::ExitedWithCode(42), "");
}

}  // namespace
}  // namespace alma::test
