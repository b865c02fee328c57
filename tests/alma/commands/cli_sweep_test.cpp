// alma sweep as its users meet it: a grid that is run at once, in parts, twice at a time, and killed on the way.
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "alma/run/run_record.h"
#include "alma/sweep/grid.h"
#include "base/files.h"
#include "base/random.h"
#include "tests/alma/program.h"
#include "tests/data/files.h"

namespace alma::test {
namespace {

namespace fs = std::filesystem;

int occurrences(const std::string& text, const std::string& what) {
  int count = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++count;
  return count;
}

bool appears(const Program& program, const fs::path& file) {
  return program.wait_until([&] { return fs::exists(file); });
}

class CliSweep : public testing::Test {
 protected:
  // So many epochs without an early end.
  void write(const std::string& axes, int epochs = 2) const {
    std::ofstream(root() / "sweep.toml")
        << "[set]\nstream.dataset = \"synthetic-images\"\nstream.synthetic_train = 600\nstream.synthetic_test = 100\n"
           "stream.mega_batches = 6\nmodel.width = 4\ntrain.batch_size = 32\ntrain.checkpoint_seconds = 0.05\n"
           "train.max_epochs = "
        << epochs << "\ntrain.patience = " << epochs << "\n[axes]\n"
        << axes;
  }
  fs::path root() const { return folder_.path(); }
  std::vector<GridPoint> points() const { return load_grid(root() / "sweep.toml").points; }
  std::vector<std::string> sweep(std::vector<std::string> extra = {}, const std::string& jobs = "2") const {
    std::vector<std::string> arguments = {"sweep", "sweep.toml", "--out", "all", "--device", "cpu", "--jobs", jobs};
    arguments.insert(arguments.end(), extra.begin(), extra.end());
    return arguments;
  }
  Outcome run(std::vector<std::string> extra = {}) const { return run_alma(root(), sweep(std::move(extra))); }
  /// All runs of the grid are there, with what `alma run` makes of their configurations.
  void expect_all_right() const {
    for (const GridPoint& point : points()) {
      ASSERT_TRUE(is_finished(root() / "all" / point.name)) << point.name;
      const fs::path alone = root() / "alone" / point.name;
      std::ofstream(root() / "alone.toml") << write_config(point.config);
      if (!fs::exists(alone)) {
        const Outcome outcome = run_alma(root(), {"run", "alone.toml", "--device", "cpu", "--quiet", "--out", alone});
        ASSERT_EQ(outcome.code, 0) << outcome.err;
      }
      EXPECT_EQ(metrics_of(root() / "all" / point.name), metrics_of(alone)) << point.name;
    }
  }

  TemporaryFolder folder_;
};

TEST_F(CliSweep, RunsTheGridOnce) {
  write("learner.wait = [1, 3]\nseed = [0, 1]\nlearner.method = [\"sm\", \"gens\"]\n");
  const Outcome first = run();
  ASSERT_EQ(first.code, 0) << first.err;
  EXPECT_NE(first.out.find("8 runs in all: 0 already finished, 8 to do"), std::string::npos) << first.out;
  EXPECT_EQ(occurrences(first.out, "  done in "), 8) << first.out;
  expect_all_right();
  const Outcome second = run();
  EXPECT_EQ(second.code, 0) << second.err;
  EXPECT_NE(second.out.find("8 already finished, 0 to do"), std::string::npos) << second.out;
  EXPECT_EQ(occurrences(second.out, "  done in "), 0);
  // A larger grid knows the runs of the smaller one.
  write("learner.wait = [1, 3]\nseed = [0, 1]\nlearner.method = [\"sm\", \"gens\", \"umix\"]\n");
  const Outcome third = run();
  EXPECT_EQ(third.code, 0) << third.err;
  EXPECT_NE(third.out.find("12 runs in all: 8 already finished, 4 to do"), std::string::npos) << third.out;
}

TEST_F(CliSweep, ADryRunShowsTheGridAndTouchesNothing) {
  write("learner.wait = [1, 3]\n");
  const Outcome outcome = run({"--dry-run"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  for (const GridPoint& point : points()) EXPECT_NE(outcome.out.find(point.name), std::string::npos) << outcome.out;
  for (const char* part : {"2 runs, 0 finished", "MACs", "MB", "about "})
    EXPECT_NE(outcome.out.find(part), std::string::npos) << outcome.out;
  EXPECT_FALSE(fs::exists(root() / "all"));
}

TEST_F(CliSweep, ARunThatFailsIsListedAndDoesNotStopTheOthers) {
  write("model.architecture = [\"vgg19\", \"mlp\"]\nseed = [0, 1]\n");
  EXPECT_EQ(occurrences(run({"--dry-run"}).out, "cannot run: model.architecture = \"vgg19\" takes images of 32 x 32"), 2);
  const Outcome outcome = run();
  EXPECT_EQ(outcome.code, 1);
  EXPECT_EQ(occurrences(outcome.out, "  done in "), 2) << outcome.out;
  EXPECT_EQ(occurrences(outcome.err, "FAILED  model.architecture = \"vgg19\" takes images of 32 x 32"), 2) << outcome.err;
  EXPECT_NE(outcome.err.find("error: 2 of 4 runs failed"), std::string::npos) << outcome.err;
}

TEST_F(CliSweep, ARunThatIsKilledFailsAndGoesOnNextTime) {
  write("seed = [0, 1]\n", 200);
  Program program(root(), sweep({}, "1"));
  const fs::path first = root() / "all" / points()[0].name;
  ASSERT_TRUE(appears(program, first / "checkpoint/state.json"));
  ::kill(nlohmann::json::parse(read_text(first / "run.lock").value()).at("pid").get<pid_t>(), SIGKILL);
  const Outcome outcome = program.finish();
  EXPECT_EQ(outcome.code, 1) << outcome.err;
  EXPECT_EQ(occurrences(outcome.err, points()[0].name + "  FAILED  ended by signal: Killed"), 1) << outcome.err;
  EXPECT_TRUE(is_finished(root() / "all" / points()[1].name));
  EXPECT_EQ(run().code, 0);
  expect_all_right();
}

TEST_F(CliSweep, AnInterruptSavesAndTheSameCommandGoesOn) {
  write("seed = [0, 1, 2]\n", 400);
  Program program(root(), sweep());
  const fs::path first = root() / "all" / points()[0].name;
  ASSERT_TRUE(appears(program, first / "checkpoint/state.json"));
  program.signal(SIGINT);
  const Outcome outcome = program.finish();
  EXPECT_EQ(outcome.code, 130) << outcome.err;
  EXPECT_NE(outcome.err.find("the same command continues"), std::string::npos) << outcome.err;
  EXPECT_FALSE(is_finished(first));
  EXPECT_EQ(run().code, 0);
  expect_all_right();
}

TEST_F(CliSweep, KilledAtRandomMomentsNothingIsLost) {
  write("learner.method = [\"sm\", \"gens\"]\nseed = [0, 1]\n", 300);
  RandomStream moments(2026, "kills of a sweep");
  for (int i = 0; i < 6; ++i) {
    Program program(root(), sweep());
    std::this_thread::sleep_for(std::chrono::duration<double>(moments.uniform(0.2, 0.8)));
    program.signal(SIGKILL);
    program.finish();
  }
  const Outcome outcome = run();
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  expect_all_right();
}

TEST_F(CliSweep, ShardsShareTheGridWithoutOverlap) {
  write("seed = [0, 1, 2, 3, 4]\n");
  fs::create_directories(root() / "b");
  const Outcome first = run({"--shard", "1/2"}), second = run({"--shard", "2/2"});
  EXPECT_EQ(first.code, 0) << first.err;
  EXPECT_EQ(second.code, 0) << second.err;
  EXPECT_EQ(occurrences(first.out, "  done in "), 3) << first.out;
  EXPECT_EQ(occurrences(second.out, "  done in "), 2) << second.out;
  expect_all_right();
  expect_failure(run({"--shard", "3/2"}), 2, {"--shard 3/2", "1 <= i <= n"});
  expect_failure(run({"--shard", "half"}), 2, {"--shard half", "1/4"});
}

// Three processes on one folder at the same time, of which one is killed.
TEST_F(CliSweep, ProcessesOnOneFolderDoNothingTwiceAndLoseNothing) {
  write("seed = [0, 1, 2, 3, 4, 5, 6, 7]\n", 100);
  std::vector<std::unique_ptr<Program>> programs;
  std::vector<std::string> arguments = sweep();
  arguments[1] = "../sweep.toml";
  arguments[3] = "../all";
  for (const char* name : {"a", "b", "c"}) {
    fs::create_directories(root() / name);
    programs.push_back(std::make_unique<Program>(root() / name, arguments));
  }
  ASSERT_TRUE(appears(*programs[0], root() / "all"));
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  programs[0]->signal(SIGKILL);
  const Outcome killed = programs[0]->finish(), second = programs[1]->finish(), third = programs[2]->finish();
  EXPECT_EQ(second.code, 0) << second.err;
  EXPECT_EQ(third.code, 0) << third.err;
  const std::string all = killed.out + second.out + third.out;
  for (const GridPoint& point : points()) {
    EXPECT_LE(occurrences(all, point.name + "  done in "), 1) << all;
    EXPECT_TRUE(is_finished(root() / "all" / point.name)) << point.name;
  }
  expect_all_right();
}

TEST_F(CliSweep, ReproduceRefusesWhatItDoesNotKnow) {
  const auto reproduce = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "reproduce");
    return run_alma(root(), arguments);
  };
  expect_failure(reproduce({"imagenet"}), 2, {"mnist", "cifar10"});
  expect_failure(reproduce({"mnist", "--time", "soon"}), 2, {"--time soon", "2h30m"});
  expect_failure(reproduce({"mnist", "--time", "90"}), 2, {"--time 90", "2h30m"});
}

}  // namespace
}  // namespace alma::test
