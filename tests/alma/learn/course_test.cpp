#include "alma/learn/course.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "alma/learn/score.h"
#include "base/error.h"

namespace alma::test {
namespace {

TEST(Course, OfEpochsValidatesAtTheEndOfEach) {
  CourseSettings settings;
  settings.batch_size = 64;
  settings.max_epochs = 3;
  settings.patience = 2;
  const Course course(130, settings);  // 64, 64 and 2
  EXPECT_EQ(course.steps_per_epoch(), 3);
  EXPECT_EQ(course.steps(), 9);
  EXPECT_EQ(course.epochs(), 3);
  EXPECT_EQ(course.range(0).first, 0);
  EXPECT_EQ(course.range(4).first, 64);
  EXPECT_EQ(course.range(4).last, 128);
  EXPECT_EQ(course.range(8).first, 128);
  EXPECT_EQ(course.range(8).last, 130);
  EXPECT_EQ(course.samples_of(0), 0);
  EXPECT_EQ(course.samples_of(4), 130 + 64);
  EXPECT_EQ(course.samples_of(9), 3 * 130);
  for (std::int64_t steps = 1; steps <= 9; ++steps) EXPECT_EQ(course.validates_after(steps), steps % 3 == 0) << steps;
  EXPECT_FALSE(course.ends(8, 1));
  EXPECT_TRUE(course.ends(9, 0));
  EXPECT_TRUE(course.ends(6, 2)) << "patience";
}

TEST(Course, OfStepsEndsWithinAnEpoch) {
  CourseSettings settings;
  settings.batch_size = 10;
  settings.max_epochs = 1;  // steps are counted instead
  settings.max_steps = 11;
  settings.validate_every = 5;
  const Course course(40, settings);
  EXPECT_EQ(course.steps(), 11);
  EXPECT_EQ(course.epochs(), 3) << "the third is begun";
  EXPECT_EQ(course.samples_of(11), 110);
  for (std::int64_t steps = 1; steps <= 11; ++steps)
    EXPECT_EQ(course.validates_after(steps), steps == 5 || steps == 10 || steps == 11) << steps;
  EXPECT_FALSE(course.ends(10, 0));
  EXPECT_TRUE(course.ends(11, 0));
}

TEST(Course, NeedsSamples) { EXPECT_THROW(Course(0, {}), Error); }

TEST(Score, OfPredictions) {
  const Score score{8, 6, 8 * std::log(5.0)};
  EXPECT_EQ(score.accuracy(), 0.75);
  EXPECT_EQ(score.error(), 0.25);
  EXPECT_DOUBLE_EQ(score.loss(), std::log(5.0));
  EXPECT_NEAR(score.perplexity(), 5, 1e-14);
  EXPECT_EQ(measured(Measure::error, score), score.error());
  EXPECT_EQ(quality(Measure::error, score), score.accuracy());
  EXPECT_EQ(measured(Measure::perplexity, score), score.perplexity());
  EXPECT_EQ(quality(Measure::perplexity, score), score.perplexity());
}

TEST(Score, MoreAccuracyOrLessPerplexityIsBetter) {
  EXPECT_TRUE(is_better(Measure::error, 0.75, 0.5, 0));
  EXPECT_FALSE(is_better(Measure::error, 0.5, 0.5, 0)) << "the first of equals stays";
  EXPECT_FALSE(is_better(Measure::error, 0.75, 0.5, 0.25)) << "by more than this";
  EXPECT_TRUE(is_better(Measure::perplexity, 4, 5, 0));
  EXPECT_FALSE(is_better(Measure::perplexity, 5, 4, 0));
  EXPECT_FALSE(is_better(Measure::perplexity, 4, 5, 1));
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(is_better(Measure::perplexity, 1e9, nan, 0));
  EXPECT_FALSE(is_better(Measure::perplexity, nan, 1e9, 0));
  EXPECT_FALSE(is_better(Measure::perplexity, nan, nan, 0));
}

// A uniform guess among n: wrong in n - 1 of n cases; its cross-entropy is log n.
TEST(Score, OfChance) {
  EXPECT_DOUBLE_EQ(chance(Measure::error, 10), 0.9);
  EXPECT_EQ(chance(Measure::perplexity, 256), 256);
}

}  // namespace
}  // namespace alma::test
