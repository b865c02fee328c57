#include "engine/ops_attention.h"

#include <array>
#include <cmath>

#include "tests/engine/gradient_check.h"

namespace alma::test {
namespace {

// The definition, element by element.
std::vector<double> reference(const std::vector<double>& qkv, std::size_t sequences, std::size_t t, std::size_t heads,
                              std::size_t d) {
  std::vector<double> y(sequences * t * heads * d);
  const auto x = [&](std::size_t s, std::size_t i, std::size_t part, std::size_t h, std::size_t c) {
    return qkv[(((s * t + i) * 3 + part) * heads + h) * d + c];
  };
  for (std::size_t s = 0; s < sequences; ++s)
    for (std::size_t h = 0; h < heads; ++h)
      for (std::size_t i = 0; i < t; ++i) {
        std::vector<double> weight(i + 1);
        double total = 0;
        for (std::size_t j = 0; j <= i; ++j) {
          double score = 0;
          for (std::size_t c = 0; c < d; ++c) score += x(s, i, 0, h, c) * x(s, j, 1, h, c);
          total += weight[j] = std::exp(score / std::sqrt(static_cast<double>(d)));
        }
        for (std::size_t c = 0; c < d; ++c) {
          double sum = 0;
          for (std::size_t j = 0; j <= i; ++j) sum += weight[j] / total * x(s, j, 2, h, c);
          y[((s * t + i) * heads + h) * d + c] = sum;
        }
      }
  return y;
}

TEST(CausalAttention, FollowsItsDefinition) {
  for (const auto& [sequences, t, heads, d] : {std::array{1, 1, 1, 1}, std::array{2, 3, 2, 4}, std::array{3, 31, 1, 8},
                                               std::array{1, 64, 3, 5}, std::array{2, 65, 2, 16}}) {
    const Tensor qkv = random_tensor({sequences * t, 3 * heads * d}, 1, -2, 2);
    const auto found = causal_attention(qkv, sequences, heads).to_vector<double>();
    const auto expected =
        reference(qkv.to_vector<double>(), static_cast<std::size_t>(sequences), static_cast<std::size_t>(t),
                  static_cast<std::size_t>(heads), static_cast<std::size_t>(d));
    ASSERT_EQ(found.size(), expected.size());
    for (std::size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], expected[i], 1e-12) << t << ' ' << i;
  }
}

TEST(CausalAttention, HasTheRightGradient) {
  expect_gradient([](const auto& in) { return causal_attention(in[0], 1, 1); }, {random_tensor({1, 6}, 2)});
  expect_gradient([](const auto& in) { return causal_attention(in[0], 2, 2); }, {random_tensor({10, 18}, 2)});
  expect_gradient([](const auto& in) { return causal_attention(in[0], 1, 1); }, {random_tensor({9, 6}, 2)});
}

// What comes later changes nothing.
TEST(CausalAttention, SeesNothingOfTheFutureNorOfOtherSequences) {
  const std::int64_t t = 6, heads = 2, d = 3, row = 3 * heads * d;
  const Tensor qkv = random_tensor({2 * t, row}, 3);
  const auto before = causal_attention(qkv, 2, heads).to_vector<double>();
  std::vector<double> values = qkv.to_vector<double>();
  for (std::int64_t i = 4 * row; i < t * row; ++i) values[static_cast<std::size_t>(i)] = 100;  // the end of the first one
  const auto after = causal_attention(Tensor::from(cpu(), {2 * t, row}, values), 2, heads).to_vector<double>();
  for (std::int64_t i = 0; i < 2 * t * heads * d; ++i) {
    const std::int64_t position = i / (heads * d);
    if (position < 4 || position >= t) {
      EXPECT_EQ(after[static_cast<std::size_t>(i)], before[static_cast<std::size_t>(i)]) << i;
    }
  }
}

// Scores of -2.45e5 occur in training; a finite number in place of minus infinity would beat them.
TEST(CausalAttention, TakesScoresFarBelowZero) {
  const std::vector<double> q{500, 500}, k{-500, -490}, v{1, 3};
  std::vector<double> qkv;
  for (std::size_t i = 0; i < 2; ++i)
    for (const auto& part : {q, k, v}) qkv.push_back(part[i]);
  EXPECT_EQ(causal_attention(Tensor::from(cpu(), {2, 3}, qkv), 1, 1).to_vector<double>(), (std::vector<double>{1, 3}));
}

TEST(CausalAttention, CountsTheWholeSquareOfScores) {
  const std::int64_t sequences = 2, t = 5, heads = 2, d = 3;
  const Cost before = cpu().cost();
  causal_attention(random_tensor({sequences * t, 3 * heads * d}, 1), sequences, heads);
  EXPECT_TRUE((cpu().cost() - before).macs == static_cast<Count>(2 * sequences * heads * t * t * d));
}

TEST(CausalAttention, RefusesWhatDoesNotFit) {
  const Tensor qkv = random_tensor({6, 12}, 1);
  expect_error([&] { causal_attention(qkv, 2, 8); },
               {"[causal_attention] qkv must have 3 * heads equal parts in a row, got f64 [6, 12] for 8 heads"});
  expect_error([&] { causal_attention(qkv, 2, 0); }, {"for 0 heads"});
  expect_error([&] { causal_attention(qkv, 4, 2); }, {"[causal_attention] [6, 12] is not made of 4 sequences"});
  expect_error([&] { causal_attention(qkv, 0, 2); }, {"0 sequences"});
  expect_error([&] { causal_attention(random_tensor({6}, 1), 1, 2); }, {"qkv must have rank 2"});
}

}  // namespace
}  // namespace alma::test
