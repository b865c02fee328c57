// Two points of the paper's MNIST figures, on real MNIST: what bench/reproduce-mnist does over many seeds, with one. And the
// memory that real CIFAR-10 needs.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <csignal>

#include "base/files.h"
#include "tests/alma/learn/training.h"
#include "tests/alma/program.h"
#include "tests/data/real_data.h"
#include "tests/tolerances.h"

namespace alma::test {
namespace {

std::vector<MegaBatchRecord> run_paper_point(std::int64_t wait) {
  Config config = load_config(ALMA_SOURCE_DIR "/alma/configs/mnist-sm-h4.toml");
  config.learner.wait = wait;
  config.train.checkpoint_seconds = 1000;
  Context context("cpu");
  return run_to_end(config, context).records;
}

class Paper : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string reason = unavailable("mnist"); !reason.empty()) GTEST_SKIP() << reason;
  }
};

TEST_F(Paper, TheTardyLearnerEndsAtThePapersErrorWithThePapersCompute) {
  const auto records = run_paper_point(500);
  EXPECT_NEAR(records.back().error, 0.0942, tolerance::one_run_against_three(tolerance::spread_of_tardy_error));
  for (std::size_t t = 0; t < 499; ++t) ASSERT_DOUBLE_EQ(records[t].error, 0.9);
  // 100 epochs of 54,000 samples of 7,920 MACs: .04277 TF in the figures.
  EXPECT_TRUE(records.back().train_macs == Count{100} * 54'000 * 7'920) << to_text(records.back().train_macs);
  EXPECT_TRUE(aggregate(records, 500).mem == Count{500} * 7'950);
}

TEST_F(Paper, WaitingForTenGivesThePapersCumulativeError) {
  const auto records = run_paper_point(10);
  EXPECT_NEAR(aggregate(records, 10).cer, 91.19, tolerance::one_run_against_three(tolerance::spread_of_cer_at_10));
  EXPECT_TRUE(records.back().train_macs == Count{100} * 54'000 * 7'920) << to_text(records.back().train_macs);
}

// How long the shortest run takes is the machine's to say: the time is doubled until one fits.
TEST_F(Paper, ReproduceRunsWhatFitsIntoTheTimeAndSaysWhatCannotBeTold) {
  const TemporaryFolder folder;
  Outcome outcome;
  std::string time;
  for (int seconds = 8; seconds < 4000; seconds *= 2) {
    time = std::to_string(seconds) + "s";
    outcome =
        run_alma(folder.path(), {"reproduce", "mnist", "--time", time, "--jobs", "2", "--device", "cpu", "--out", "all"});
    if (outcome.code != 2) break;
    ASSERT_NE(outcome.err.find("no run fits into --time "), std::string::npos) << outcome.err;
    ASSERT_NE(outcome.err.find("the shortest takes about "), std::string::npos) << outcome.err;
  }
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.err.find(" of 234 runs do not fit into --time "), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.out.find("  done in "), std::string::npos) << outcome.out;
  const std::string claims = read_text(folder / "all/claims.md").value_or("");
  EXPECT_EQ(std::count(claims.begin(), claims.end(), '\n'), 2 + 8) << claims;
  EXPECT_NE(claims.find("no runs to compare | undecided"), std::string::npos) << claims;
  EXPECT_NE(outcome.out.find(claims), std::string::npos) << outcome.out;
}

// After two updates of one epoch every kind of work has been done: loading, training, validation and test.
TEST(PaperCifar, TheRunAtWidth16StaysBelow400Megabytes) {
  if (const std::string reason = unavailable("cifar10"); !reason.empty()) GTEST_SKIP() << reason;
  const TemporaryFolder folder;
  Program program(folder.path(), {"run", ALMA_SOURCE_DIR "/alma/configs/cifar10-sm.toml", "--set", "model.width=16", "--set",
                                  "train.max_epochs=1", "--device", "cpu", "--quiet", "--out", "run"});
  const auto lines = [&] {
    const std::string text = read_text(folder / "run/metrics.jsonl").value_or("");
    return std::count(text.begin(), text.end(), '\n');
  };
  ASSERT_TRUE(program.wait_until([&] { return lines() >= 20; })) << program.finish().err;
  program.signal(SIGINT);
  const Outcome outcome = program.finish();
  EXPECT_EQ(outcome.code, 130) << outcome.err;
  EXPECT_LT(outcome.peak_megabytes, 400);
  EXPECT_GT(outcome.peak_megabytes, 180) << "the pixels alone are 184";
}

}  // namespace
}  // namespace alma::test
