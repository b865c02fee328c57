#include "base/permutation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>
#include <vector>

namespace alma::test {
namespace {

std::vector<std::int64_t> all_places(const KeyedPermutation& permutation) {
  std::vector<std::int64_t> all;
  for (std::int64_t i = 0; i < permutation.size(); ++i) all.push_back(permutation(i));
  return all;
}

TEST(KeyedPermutation, HasEveryNumberOnce) {
  for (std::int64_t size : {1, 2, 3, 4, 5, 15, 16, 17, 63, 64, 65, 255, 256, 257, 1000, 4096, 4097, 70000}) {
    const auto all = all_places({size, 1, "test", 2});
    const std::set<std::int64_t> numbers(all.begin(), all.end());
    EXPECT_EQ(std::ssize(numbers), size);
    EXPECT_EQ(*numbers.begin(), 0);
    EXPECT_EQ(*numbers.rbegin(), size - 1);
  }
}

TEST(KeyedPermutation, LargeOnesStayInside) {
  for (const std::int64_t size : {(std::int64_t{1} << 31) + 1, std::int64_t{1} << 40, INT64_MAX}) {
    const KeyedPermutation permutation(size, 5, "test");
    std::set<std::int64_t> seen;
    for (std::int64_t i = 0; i < 1000; ++i) {
      const std::int64_t number = permutation(size - 1 - i * (size / 1000));
      EXPECT_TRUE(number >= 0 && number < size);
      seen.insert(number);
    }
    EXPECT_EQ(seen.size(), 1000u);
  }
}

TEST(KeyedPermutation, TheNameDecides) {
  const auto all = all_places({100, 1, "test", 2});
  EXPECT_EQ(all_places({100, 1, "test", 2}), all);
  EXPECT_NE(all_places({100, 2, "test", 2}), all);
  EXPECT_NE(all_places({100, 1, "other", 2}), all);
  EXPECT_NE(all_places({100, 1, "test", 3}), all);
}

double chi_squared(const std::map<std::vector<std::int64_t>, int>& counts, double expected, double kinds) {
  double sum = (kinds - static_cast<double>(counts.size())) * expected;
  for (const auto& [key, count] : counts) sum += std::pow(count - expected, 2) / expected;
  return sum;
}

TEST(KeyedPermutation, AllPermutationsOfFiveAreEquallyLikely) {
  constexpr int draws = 60000;
  std::map<std::vector<std::int64_t>, int> counts;
  for (std::uint64_t i = 0; i < draws; ++i) ++counts[all_places({5, 7, "test", i})];
  EXPECT_NEAR(chi_squared(counts, draws / 120.0, 120), 119, 5 * std::sqrt(2.0 * 119));
}

TEST(KeyedPermutation, PairsOfNeighboursAreIndependent) {
  constexpr int draws = 200000, size = 37;
  std::map<std::vector<std::int64_t>, int> counts;
  for (std::uint64_t i = 0; i < draws; ++i) {
    const KeyedPermutation permutation(size, 8, "test", i);
    ++counts[{permutation(17), permutation(18)}];
  }
  const double kinds = size * (size - 1);
  EXPECT_NEAR(chi_squared(counts, draws / kinds, kinds), kinds - 1, 5 * std::sqrt(2 * kinds));
}

}  // namespace
}  // namespace alma::test
