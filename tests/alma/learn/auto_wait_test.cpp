// learner.wait = "auto": the rule by hand, and the updates that it makes.
#include "alma/learn/auto_wait.h"

#include <gtest/gtest.h>

#include <cmath>

#include "alma/run/updates.h"
#include "base/random.h"
#include "tests/alma/learn/training.h"

namespace alma::test {
namespace {

TEST(AutoWait, TheFirstUpdateHappensAtOnceAndTheNextOnAboutTwiceAsMuch) {
  AutoWait rule;
  EXPECT_FALSE(rule.trains(0));
  EXPECT_TRUE(rule.trains(1));
  rule.has_trained(1000, std::nullopt, 0);
  EXPECT_DOUBLE_EQ(rule.exponent(), 0.3);
  EXPECT_EQ(rule.awaited(), static_cast<std::int64_t>(std::ceil(1000 * std::pow(1.3, 1 / 0.3))));  // 2,398
  EXPECT_FALSE(rule.trains(2397));
  EXPECT_TRUE(rule.trains(2398));
}

TEST(AutoWait, FindsTheExponentOfItsValidationErrors) {
  for (const double b : {0.1, 0.25, 0.5, 0.8}) {
    AutoWait rule;
    for (const std::int64_t n : {100, 250, 600, 1500, 4000})
      rule.has_trained(n, 0.9 * std::pow(static_cast<double>(n), -b), 100'000);
    EXPECT_NEAR(rule.exponent(), b, 0.01);
    EXPECT_NEAR(static_cast<double>(rule.awaited()), 4000 * std::pow(1 + b, 1 / b), 30) << b;
  }
}

// A dozen validation samples say little: what is known before holds.
TEST(AutoWait, FewValidationSamplesDecideLittle) {
  AutoWait rule;
  rule.has_trained(100, 0.5, 10);
  rule.has_trained(250, 0.6, 25);
  EXPECT_NEAR(rule.exponent(), 0.3, 0.15);
  for (const double all : {0.0, 1.0}) {  // none or all wrong: finite
    AutoWait extreme;
    for (const std::int64_t n : {100, 250, 600}) extreme.has_trained(n, all, n / 9);
    EXPECT_GE(extreme.exponent(), 0.05);
    EXPECT_LE(extreme.exponent(), 1);
    EXPECT_GE(extreme.awaited(), 1200);
  }
  AutoWait rising;
  for (const std::int64_t n : {100, 1000, 10'000}) rising.has_trained(n, 0.1 * std::log10(static_cast<double>(n)), 100'000);
  EXPECT_EQ(rising.exponent(), 0.05);  // an error that rises
}

TEST(Updates, OfAFixedWaitAreThoseOfTheSchedule) {
  const MegaBatchStream stream(1000, 23, 0.1, 1);
  for (const std::int64_t wait : {1, 4, 5, 23}) {
    const Schedule schedule(23, wait);
    Updates updates(stream, wait, false);
    for (std::int64_t t = 1; t <= 23; ++t) {
      EXPECT_EQ(updates.happens_at(t), schedule.updates_at(t)) << wait << ", " << t;
      if (!updates.happens_at(t)) continue;
      const UpdateSpan expected = schedule[updates.count()];
      EXPECT_EQ(updates.next().first, expected.first);
      EXPECT_EQ(updates.next().last, expected.last);
      EXPECT_EQ(updates.span(t).first, expected.first);
      EXPECT_EQ(updates.span(t).last, expected.last);
      updates.has_happened(t, std::nullopt);
    }
    EXPECT_EQ(updates.count(), schedule.updates());
    EXPECT_EQ(updates.next().first, updates.next().last);
    const auto all = expected_updates(23, wait);
    ASSERT_EQ(std::ssize(all), schedule.updates());
    EXPECT_EQ(all.back().last, 23);
  }
}

// Mega-batches of 90 training and 10 validation samples: 2.4 times as many each time, whatever B is.
TEST(Updates, OfAutoGrowAndDoNotKnowTheEnd) {
  const auto arrivals = [](std::int64_t mega_batches) {
    const MegaBatchStream stream(100 * mega_batches, mega_batches, 0.1, 1);
    Updates updates(stream, 0, false);
    std::vector<std::int64_t> found;
    for (std::int64_t t = 1; t <= mega_batches; ++t)
      if (updates.happens_at(t)) {
        EXPECT_EQ(updates.next().last, t);
        found.push_back(t);
        updates.has_happened(t, std::nullopt);
      }
    const auto expected = expected_updates(mega_batches, 0);
    EXPECT_EQ(found.size(), expected.size());
    for (std::size_t i = 0; i < found.size(); ++i) EXPECT_EQ(found[i], expected[i].last);
    return found;
  };
  const auto longer = arrivals(500);
  EXPECT_EQ(longer, (std::vector<std::int64_t>{1, 4, 12, 32, 80, 196, 475}));
  auto shorter = arrivals(100);
  EXPECT_EQ(shorter, std::vector<std::int64_t>(longer.begin(), longer.begin() + 5));
}

// With replay an update is on all samples so far, and 2.4 times as many of these.
TEST(Updates, OfAutoWithReplayCountAllSamples) {
  const MegaBatchStream stream(10'000, 100, 0.1, 1);
  Updates updates(stream, 0, true);
  std::vector<std::int64_t> found;
  for (std::int64_t t = 1; t <= 100; ++t)
    if (updates.happens_at(t)) found.push_back(t), updates.has_happened(t, std::nullopt);
  EXPECT_EQ(found, (std::vector<std::int64_t>{1, 3, 8, 20, 48}));
}

TEST(Auto, ARunUpdatesByItsOwnErrors) {
  Config config = small_config();
  config.learner.wait = 0;
  config.stream.mega_batches = 30;
  Context context("cpu");
  const Trained run = run_to_end(config, context);
  const MegaBatchStream stream(300, 30, 0.1, 432);
  Updates updates(stream, 0, false);
  std::int64_t count = 0;
  for (const MegaBatchRecord& record : run.records) {
    EXPECT_EQ(record.updated, updates.happens_at(record.t)) << record.t;
    if (!record.updated) continue;
    ++count;
    ASSERT_TRUE(record.val_accuracy.has_value());
    updates.has_happened(record.t, 1 - *record.val_accuracy);
  }
  EXPECT_TRUE(run.records[0].updated);
  EXPECT_GE(count, 3);
  EXPECT_LE(count, 5);
}

}  // namespace
}  // namespace alma::test
