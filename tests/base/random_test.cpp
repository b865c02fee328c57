#include "base/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

namespace alma::test {
namespace {

using Counter = PhiloxWords;

TEST(Philox, KnownAnswersOfRandom123) {
  EXPECT_EQ((Philox{{0, 0}}({0, 0, 0, 0})), (Counter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ((Philox{{0xffffffff, 0xffffffff}}({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff})),
            (Counter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ((Philox{{0xa4093822, 0x299f31d0}}({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344})),
            (Counter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(RandomStream, TheNameIsTheStream) {
  const auto first = [](std::uint64_t seed, const char* purpose, std::uint64_t index) {
    RandomStream random(seed, purpose, index);
    return std::array{random.bits(), random.bits(), random.bits(), random.bits(), random.bits()};
  };
  EXPECT_EQ(first(1, "shuffle", 2), first(1, "shuffle", 2));
  std::set<std::array<std::uint32_t, 5>> different;
  for (const std::uint64_t seed : {0ull, 1ull, 2ull, 1ull << 32, ~0ull})
    for (const char* purpose : {"", "stream", "shuffle", "shufflf"})
      for (const std::uint64_t index : {0ull, 1ull, 500ull, 1ull << 32}) different.insert(first(seed, purpose, index));
  EXPECT_EQ(different.size(), 5u * 4u * 4u);
}

// Every statistical bound below is five standard deviations of the quantity for 1,000,000 independent draws; the stream is
// fixed, so that the tests cannot fail by chance from one run to the next.
constexpr int kDraws = 1000000;

TEST(RandomStream, UniformIsUniform) {
  RandomStream random(3, "test");
  std::array<int, 64> histogram{};
  double sum = 0, squares = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double u = random.uniform();
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    ++histogram[static_cast<std::size_t>(u * 64)];
    sum += u;
    squares += u * u;
  }
  EXPECT_NEAR(sum / kDraws, 0.5, 5 * std::sqrt(1.0 / 12 / kDraws));
  EXPECT_NEAR(squares / kDraws, 1.0 / 3, 5 * std::sqrt(4.0 / 45 / kDraws));
  double chi_squared = 0;
  for (const int count : histogram) chi_squared += std::pow(count - kDraws / 64.0, 2) / (kDraws / 64.0);
  EXPECT_NEAR(chi_squared, 63, 5 * std::sqrt(2.0 * 63));
}

TEST(RandomStream, UniformInARange) {
  RandomStream random(3, "range");
  double lowest = 1e9, highest = -1e9;
  for (int i = 0; i < 10000; ++i) {
    const double u = random.uniform(-2, 6);
    lowest = std::min(lowest, u);
    highest = std::max(highest, u);
  }
  EXPECT_GE(lowest, -2);
  EXPECT_LT(highest, 6);
  EXPECT_LT(lowest, -1.99);  // the chance that none of 10,000 draws comes so near an end is exp(-12.5)
  EXPECT_GT(highest, 5.99);
}

TEST(RandomStream, NormalHasTheMomentsOfANormal) {
  RandomStream random(4, "test");
  double m1 = 0, m2 = 0, m3 = 0, m4 = 0;
  int inside = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double x = random.normal();
    ASSERT_TRUE(std::isfinite(x));
    m1 += x;
    m2 += x * x;
    m3 += x * x * x;
    m4 += x * x * x * x;
    inside += std::abs(x) < 1;
  }
  EXPECT_NEAR(m1 / kDraws, 0, 5 * std::sqrt(1.0 / kDraws));
  EXPECT_NEAR(m2 / kDraws, 1, 5 * std::sqrt(2.0 / kDraws));
  EXPECT_NEAR(m3 / kDraws, 0, 5 * std::sqrt(15.0 / kDraws));
  EXPECT_NEAR(m4 / kDraws, 3, 5 * std::sqrt(96.0 / kDraws));
  EXPECT_NEAR(inside / double{kDraws}, std::erf(1 / std::sqrt(2.0)), 5 * std::sqrt(0.6827 * 0.3173 / kDraws));
}

TEST(RandomStream, BelowIsUniformAndInRange) {
  for (const std::uint32_t n : {1u, 2u, 3u, 10u, 31u}) {
    RandomStream random(5, "below", n);
    std::vector<int> histogram(n);
    for (int i = 0; i < 100000; ++i) ++histogram.at(random.below(n));
    const double p = 1.0 / n;
    for (const int count : histogram) EXPECT_NEAR(count, 100000 * p, 5 * std::sqrt(100000 * p * (1 - p)) + 1e-9) << n;
  }
  // Just above 2^31, plain multiplication would hit half of the values twice as often as the others.
  const std::uint32_t n = (1u << 31) + (1u << 30);
  RandomStream random(5, "below large");
  int thirds[3] = {};
  for (int i = 0; i < 300000; ++i) {
    const std::uint32_t value = random.below(n);
    ASSERT_LT(value, n);
    ++thirds[value % 3];
  }
  for (const int count : thirds) EXPECT_NEAR(count, 100000, 5 * std::sqrt(300000 * 2.0 / 9));
}

TEST(RandomStream, PermutationIsAPermutation) {
  for (const std::int64_t n : {0, 1, 2, 31, 257, 60000}) {
    std::vector<std::int32_t> order = RandomStream(6, "test").permutation(n);
    ASSERT_EQ(order.size(), static_cast<std::size_t>(n));
    std::sort(order.begin(), order.end());
    for (std::int32_t i = 0; i < n; ++i) ASSERT_EQ(order[static_cast<std::size_t>(i)], i);
  }
}

TEST(RandomStream, AllPermutationsOfFourAreEquallyLikely) {
  std::array<int, 256> histogram{};
  constexpr int draws = 48000;
  for (std::uint64_t i = 0; i < draws; ++i) {
    const auto order = RandomStream(7, "permutation", i).permutation(4);
    ++histogram[static_cast<std::size_t>(order[0] + 4 * order[1] + 16 * order[2] + 64 * order[3])];
  }
  double chi_squared = 0;
  int kinds = 0;
  for (const int count : histogram) {
    if (count == 0) continue;
    ++kinds;
    chi_squared += std::pow(count - draws / 24.0, 2) / (draws / 24.0);
  }
  EXPECT_EQ(kinds, 24);
  EXPECT_NEAR(chi_squared, 23, 5 * std::sqrt(2.0 * 23));
}

TEST(RandomStream, StreamsOfNeighbouringIndicesAreIndependent) {
  double sum = 0;
  for (std::uint64_t i = 0; i < 100000; ++i)
    sum += (RandomStream(8, "index", i).uniform() - 0.5) * (RandomStream(8, "index", i + 1).uniform() - 0.5);
  EXPECT_NEAR(sum / 100000, 0, 5 * (1.0 / 12) / std::sqrt(100000.0));
}

}  // namespace
}  // namespace alma::test
