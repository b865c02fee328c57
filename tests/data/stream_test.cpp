#include "data/stream.h"

#include <cmath>
#include <limits>
#include <set>

#include "tests/data/files.h"

namespace alma::test {
namespace {

using Indices = std::vector<std::int32_t>;

Indices sorted(Indices indices) {
  std::sort(indices.begin(), indices.end());
  return indices;
}

Indices all_of(const MegaBatch& batch) {
  Indices all = batch.train;
  all.insert(all.end(), batch.validation.begin(), batch.validation.end());
  return all;
}

bool same(const MegaBatchStream& a, const MegaBatchStream& b) {
  for (std::int64_t t = 0; t < a.size(); ++t)
    if (a[t].train != b[t].train || a[t].validation != b[t].validation) return false;
  return a.size() == b.size();
}

struct Sizes {
  std::int64_t samples, mega_batches;
};
const std::vector<Sizes> kSizes = {{1, 1},   {2, 1},    {2, 2},     {31, 31},   {33, 32},     {257, 16},
                                   {257, 1}, {257, 10}, {1009, 97}, {1000, 10}, {60000, 500}, {60000, 7}};

TEST(MegaBatchStream, IsAPartitionIntoArraySplitSizes) {
  for (const auto [samples, count] : kSizes) {
    for (const double fraction : {0.0, 0.1, 0.5, 0.999}) {
      SCOPED_TRACE(std::to_string(samples) + " / " + std::to_string(count) + ", " + std::to_string(fraction));
      const MegaBatchStream stream(samples, count, fraction, 432);
      ASSERT_EQ(stream.size(), count);
      EXPECT_EQ(stream.samples(), samples);
      std::vector<int> seen(static_cast<std::size_t>(samples), 0);
      for (std::int64_t t = 0; t < count; ++t) {
        // numpy.array_split: the first samples % count sections have samples / count + 1 elements.
        const std::int64_t size = samples / count + (t < samples % count ? 1 : 0);
        const auto validation = static_cast<std::size_t>(std::floor(fraction * static_cast<double>(size)));
        EXPECT_EQ(stream[t].validation.size(), validation);
        EXPECT_EQ(stream[t].train.size(), static_cast<std::size_t>(size) - validation);
        EXPECT_GE(stream[t].train.size(), 1u);
        for (const std::int32_t index : all_of(stream[t])) ++seen.at(static_cast<std::size_t>(index));
      }
      EXPECT_EQ(seen, std::vector<int>(static_cast<std::size_t>(samples), 1));  // each once, on one side
    }
  }
}

TEST(MegaBatchStream, MnistAsInThePaper) {
  const MegaBatchStream stream(60000, 500, 0.1, 432);
  for (std::int64_t t = 0; t < 500; ++t) {
    EXPECT_EQ(stream[t].train.size(), 108u);
    EXPECT_EQ(stream[t].validation.size(), 12u);
  }
}

TEST(MegaBatchStream, DependsOnTheSeedAlone) {
  const MegaBatchStream stream(1009, 10, 0.1, 432);
  EXPECT_TRUE(same(stream, MegaBatchStream(1009, 10, 0.1, 432)));
  const MegaBatchStream another(1009, 10, 0.1, 433);
  for (std::int64_t t = 0; t < 10; ++t) EXPECT_NE(sorted(all_of(stream[t])), sorted(all_of(another[t])));
  // The partition is of the seed; a different fraction moves samples between the sides, not between mega-batches.
  const MegaBatchStream other(1009, 10, 0.3, 432);
  for (std::int64_t t = 0; t < 10; ++t) EXPECT_EQ(sorted(all_of(stream[t])), sorted(all_of(other[t])));
}

TEST(MegaBatchStream, IsShuffled) {
  // A permutation of 1000 has one fixed point on average; 10 or more have a chance below 1e-6.
  const MegaBatchStream stream(1000, 1, 0.0, 1);
  int fixed = 0;
  for (std::int32_t i = 0; i < 1000; ++i) fixed += stream[0].train[static_cast<std::size_t>(i)] == i;
  EXPECT_LT(fixed, 10);
}

TEST(MegaBatchStream, ValidationIsNotAFixedSliceOfTheIndices) {
  // Mean index of 1,000 validation samples of 10,000: 4999.5, deviation 10000 / sqrt(12 * 1000) * sqrt(0.9) = 87.
  const MegaBatchStream stream(10000, 10, 0.1, 5);
  const MegaBatch all = collect(stream, 0, 10, false);
  double sum = 0;
  for (const std::int32_t index : all.validation) sum += index;
  EXPECT_NEAR(sum / 1000, 4999.5, 5 * 87);
}

TEST(MegaBatchStream, WrongRequests) {
  for (const std::int64_t count : {std::int64_t{0}, std::int64_t{-1}, std::int64_t{101}})
    expect_error(ErrorKind::usage, {"stream.mega_batches = " + std::to_string(count), "1 .. 100"},
                 [&] { MegaBatchStream(100, count, 0.1, 0); });
  for (const double fraction : {-0.1, 1.0, 1.5, std::numeric_limits<double>::quiet_NaN()})
    expect_error(ErrorKind::usage, {"stream.validation"}, [&] { MegaBatchStream(100, 10, fraction, 0); });
  expect_error(ErrorKind::data, {"2^31"}, [] { MegaBatchStream(std::int64_t{1} << 31, 1, 0.1, 0); });
}

TEST(MegaBatchStream, TheLargestFractionStillLeavesATrainingSample) {
  const double fraction = std::nextafter(1.0, 0.0);
  for (const std::int64_t samples : {1, 2, 3, 7, 8, 257, 65535, 65536, 65537})
    EXPECT_EQ(MegaBatchStream(samples, 1, fraction, 0)[0].train.size(), 1u) << samples;
}

TEST(Schedule, UpdatesAtEveryWaitAndAtTheEnd) {
  const Schedule schedule(10, 4);
  ASSERT_EQ(schedule.updates(), 3);
  EXPECT_EQ(schedule.wait(), 4);
  std::vector<std::int64_t> at;
  for (std::int64_t t = 1; t <= 10; ++t)
    if (schedule.updates_at(t)) at.push_back(t);
  EXPECT_EQ(at, (std::vector<std::int64_t>{4, 8, 10}));
  EXPECT_EQ(schedule[0].first, 0);
  EXPECT_EQ(schedule[0].last, 4);
  EXPECT_EQ(schedule[2].first, 8);
  EXPECT_EQ(schedule[2].last, 10);  // what is left
}

TEST(Schedule, EveryWaitCoversTheStreamOnce) {
  for (std::int64_t count = 1; count <= 33; ++count) {
    for (std::int64_t wait = 1; wait <= count; ++wait) {
      SCOPED_TRACE(std::to_string(count) + " waiting " + std::to_string(wait));
      const Schedule schedule(count, wait);
      std::int64_t update = 0, waiting = 0, next = 0;  // Algorithm 1, one arrival at a time
      for (std::int64_t arrived = 1; arrived <= count; ++arrived) {
        ++waiting;
        const bool expected = waiting == wait || arrived == count;
        EXPECT_EQ(schedule.updates_at(arrived), expected);
        if (!expected) continue;
        EXPECT_EQ((arrived - 1) / wait, update);
        EXPECT_EQ(schedule[update].first, next);
        EXPECT_EQ(schedule[update].last, arrived);
        next = arrived;
        waiting = 0;
        ++update;
      }
      EXPECT_EQ(schedule.updates(), update);
    }
  }
}

TEST(Schedule, WrongWaits) {
  for (const std::int64_t wait : {-1, 0, 11})
    expect_error(ErrorKind::usage, {"learner.wait = " + std::to_string(wait), "1 .. 10"}, [&] { Schedule(10, wait); });
}

TEST(Collect, TakesWhatCameSinceTheLastUpdate) {
  const MegaBatchStream stream(1009, 10, 0.1, 432);
  const Schedule schedule(10, 4);
  Indices train, validation;
  for (std::int64_t u = 0; u < schedule.updates(); ++u) {
    const MegaBatch batch = collect(stream, schedule[u].first, schedule[u].last, false);
    train.insert(train.end(), batch.train.begin(), batch.train.end());
    validation.insert(validation.end(), batch.validation.begin(), batch.validation.end());
  }
  const MegaBatch all = collect(stream, 0, 10, false);
  EXPECT_EQ(train, all.train);
  EXPECT_EQ(validation, all.validation);
  EXPECT_EQ(all.train.size() + all.validation.size(), 1009u);
}

TEST(Collect, ReplayIsTheUnionOfAllUpdatesSoFar) {
  const MegaBatchStream stream(1009, 10, 0.1, 432);
  const Schedule schedule(10, 3);
  Indices train, validation;
  for (std::int64_t u = 0; u < schedule.updates(); ++u) {
    const auto [first, last] = schedule[u];
    const MegaBatch fresh = collect(stream, first, last, false);
    train.insert(train.end(), fresh.train.begin(), fresh.train.end());
    validation.insert(validation.end(), fresh.validation.begin(), fresh.validation.end());
    const MegaBatch replayed = collect(stream, first, last, true);
    EXPECT_EQ(replayed.train, train);
    EXPECT_EQ(replayed.validation, validation);
    const std::set<std::int32_t> trained(replayed.train.begin(), replayed.train.end());
    for (const std::int32_t index : replayed.validation) EXPECT_EQ(trained.count(index), 0u);
  }
}

TEST(Collect, WaitingForAllIsTheWholeSet) {
  const MegaBatchStream stream(257, 16, 0.1, 1);
  const MegaBatch all = collect(stream, 0, 16, false);
  Indices expected(257);
  for (std::int32_t i = 0; i < 257; ++i) expected[static_cast<std::size_t>(i)] = i;
  EXPECT_EQ(sorted(all_of(all)), expected);
}

TEST(Collect, NothingAndOutOfRange) {
  const MegaBatchStream stream(100, 10, 0.1, 0);
  EXPECT_TRUE(all_of(collect(stream, 3, 3, false)).empty());
  expect_error(ErrorKind::failed, {"[collect]", "-1 .. 3"}, [&] { collect(stream, -1, 3, false); });
  expect_error(ErrorKind::failed, {"[collect]"}, [&] { collect(stream, 4, 3, false); });
  expect_error(ErrorKind::failed, {"[collect]", "0 .. 11 of 10"}, [&] { collect(stream, 0, 11, false); });
}

}  // namespace
}  // namespace alma::test
