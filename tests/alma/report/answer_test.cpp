// The sentence that answers the paper's question, on CERs that are summed by hand.
#include "alma/report/answer.h"

#include "alma/sweep/grid.h"

#include "tests/alma/report/report_runs.h"

namespace alma::test {
namespace {

using AnswerTest = ReportRuns;

Config waiting(std::int64_t wait, std::int64_t width = 64, std::int64_t seed = 0) {
  Config config;
  config.learner.wait = wait;
  config.model.width = width;
  config.seed = seed;
  return config;
}

std::vector<Answer> answers_of(const RunCollection& collection) { return answers(group_runs(collection.runs)); }

TEST_F(AnswerTest, NamesTheBestWaitAndWhatTheOthersCost) {
  make("h4-w1", {.8, .8, .48}, waiting(1, 4));  // CER 2.08
  make("h4-w2", {.9, .4, .3}, waiting(2, 4));   // 1.6, the best
  make("h4-w3", {.9, .9, .6}, waiting(3, 4));   // 2.4
  make("h64-w1", {.7, .6, .2}, waiting(1));     // 1.5
  make("h64-w2", {.9, .05, .05}, waiting(2));   // 1.0
  make("h64-w3", {.9, .9, .2}, waiting(3));     // 2.0
  const std::vector<Answer> found = answers_of(read());
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].stream, "mnist");
  // w=1: +30% and +50%; w=3: +50% and +100%.
  EXPECT_EQ(found[0].text,
            "How long should a learner wait before it trains? Measured by the CER (Eq. 1), w = 2 is best for SM h=4 and SM "
            "h=64. On "
            "average, w = 1 costs 40% more and w = 3 costs 75% more. The lowest CER is 1.00, reached by SM h=64 w=2. Each "
            "value comes "
            "from a single seed: with another seed, differences of a few percent may reverse.");
}

TEST_F(AnswerTest, AWaitThatTheLearnerChoseHasAName) {
  make("h4-w1", {.8, .8, .48}, waiting(1, 4));   // CER 2.08
  make("h4-w3", {.9, .9, .6}, waiting(3, 4));    // 2.4
  make("h4-auto", {.8, .4, .2}, waiting(0, 4));  // 1.4
  make("h64-w1", {.7, .6, .2}, waiting(1));      // 1.5
  make("h64-w3", {.9, .9, .2}, waiting(3));      // 2.0
  make("h64-auto", {.7, .3, .1}, waiting(0));    // 1.1
  const RunCollection collection = read();
  const std::vector<Answer> found = answers_of(collection);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_NE(found[0].text.find("w = auto is best for SM h=4 and SM h=64."), std::string::npos) << found[0].text;
  EXPECT_NE(found[0].text.find("The lowest CER is 1.10, reached by SM h=64 w=auto"), std::string::npos) << found[0].text;
  const auto groups = group_runs(collection.runs);
  EXPECT_EQ(groups[0].label, "SM h=4 w=auto");
  EXPECT_FALSE(groups[0].runs[0]->measures.paper_cer.has_value());
  EXPECT_TRUE(union_pairs(groups).empty());
  EXPECT_EQ(run_name(groups[0].config()).substr(0, 22),
            "mnist-sm-h4-wauto-s0-" + run_name(groups[0].config()).substr(21, 1));
}

TEST_F(AnswerTest, LearnersMayDisagree) {
  make("h4-w1", {.9, .9, .4}, waiting(1, 4));  // 2.2
  make("h4-w3", {.9, .9, .2}, waiting(3, 4));  // 2.0
  make("h64-w1", {.6, .6, .6}, waiting(1));    // 1.8
  make("h64-w3", {.9, .9, .1}, waiting(3));    // 1.9
  const std::vector<Answer> found = answers_of(read());
  ASSERT_EQ(found.size(), 1u);
  EXPECT_NE(found[0].text.find("w = 1 is best for SM h=64 and w = 3 is best for SM h=4."), std::string::npos)
      << found[0].text;
  EXPECT_EQ(found[0].text.find("On average,"), std::string::npos) << found[0].text;  // no wait is best for nobody
}

// CERs 1.0 and 1.2 against 1.1 and 1.3: a difference of .1, of which twice the standard error is .28.
TEST_F(AnswerTest, WhatSeedsCannotTellApartIsNotToldApart) {
  make("w1-s0", {.5, .5}, waiting(1, 64, 0));
  make("w1-s1", {.6, .6}, waiting(1, 64, 1));
  make("w2-s0", {.9, .2}, waiting(2, 64, 0));
  make("w2-s1", {.9, .4}, waiting(2, 64, 1));
  const std::vector<Answer> found = answers_of(read());
  ASSERT_EQ(found.size(), 1u);
  EXPECT_NE(found[0].text.find("w = 1 or 2 is best for SM h=64."), std::string::npos) << found[0].text;
  EXPECT_EQ(found[0].text.find("single seed"), std::string::npos) << found[0].text;
}

// The records' training costs end at 1000 per mega-batch; those of the larger model are ten times as many.
TEST_F(AnswerTest, WhatIsNearlyAsGoodForLessComputeIsNamed) {
  make("small-w1", {.6, .6}, waiting(1, 4));  // 1.2
  make("small-w2", {.9, .7}, waiting(2, 4));
  std::vector<MegaBatchRecord> records(2);
  for (std::size_t i = 0; i < 2; ++i) {
    records[i].t = static_cast<std::int64_t>(i) + 1;
    records[i].error = .5;  // CER 1.0
    records[i].train_macs = 10000 * (i + 1);
  }
  write("large-w1", records, waiting(1));
  const std::vector<Answer> found = answers_of(read());
  ASSERT_EQ(found.size(), 1u);
  EXPECT_NE(
      found[0].text.find("The lowest CER is 1.00, reached by SM h=64 w=1; SM h=4 w=1 has 20% more at 10% of its training "
                         "compute."),
      std::string::npos)
      << found[0].text;
}

TEST_F(AnswerTest, OneWaitingTimeOrReplayAloneAnswersNothing) {
  make("a", {.5, .5}, waiting(1, 4));
  make("b", {.5, .5}, waiting(2, 64));
  Config replay = waiting(2, 4);
  replay.learner.replay = true;
  make("c", {.9, .5}, replay);
  make_language("d", {30, 20});
  EXPECT_TRUE(answers_of(read()).empty());
}

}  // namespace
}  // namespace alma::test
