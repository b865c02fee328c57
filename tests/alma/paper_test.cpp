// Two points of the paper's MNIST figures, on real MNIST: what bench/reproduce-mnist does over many seeds, with one.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/alma/training.h"

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
    for (const Entry& entry : list_data_sets())
      if (entry.name == "mnist" && !entry.found) GTEST_SKIP() << "no MNIST in ALMA_DATA";
  }
};

TEST_F(Paper, TheTardyLearnerEndsAtThePapersErrorWithThePapersCompute) {
  const auto records = run_paper_point(500);
  EXPECT_NEAR(records.back().error, 0.0942, 0.02);
  for (std::size_t t = 0; t < 499; ++t) ASSERT_DOUBLE_EQ(records[t].error, 0.9);
  // 100 epochs of 54,000 samples of 7,920 MACs: .04277 TF in the figures.
  EXPECT_TRUE(records.back().train_macs == Count{100} * 54'000 * 7'920) << to_text(records.back().train_macs);
  EXPECT_TRUE(aggregate(records, 500).mem == Count{500} * 7'950);
}

TEST_F(Paper, WaitingForTenGivesThePapersCumulativeError) {
  const auto records = run_paper_point(10);
  // One run against the mean of three, at a spread over seeds of 7.8.
  EXPECT_NEAR(aggregate(records, 10).cer, 91.19, 2 * 7.8 * std::sqrt(1.0 + 1.0 / 3));
  EXPECT_TRUE(records.back().train_macs == Count{100} * 54'000 * 7'920) << to_text(records.back().train_macs);
}

}  // namespace
}  // namespace alma::test
