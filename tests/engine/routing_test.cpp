// Values of the primitives are in tests/kernels/routing_test.cpp.
#include "engine/ops_routing.h"

#include <cmath>

#include "engine/ops_elementwise.h"
#include "engine/ops_matmul.h"
#include "engine/ops_reduce.h"
#include "tests/engine/gradient_check.h"

namespace alma::test {
namespace {

using Ints = std::vector<std::int32_t>;

// Logits whose largest in each row is well ahead, so that a finite difference changes no choice.
Tensor decided(const Ints& choices, std::int64_t experts, std::uint64_t seed) {
  const auto tokens = static_cast<std::int64_t>(choices.size());
  std::vector<double> values = random_tensor({tokens, experts}, seed).to_vector<double>();
  for (std::size_t t = 0; t < choices.size(); ++t)
    values[t * static_cast<std::size_t>(experts) + static_cast<std::size_t>(choices[t])] += 3;
  return Tensor::from(cpu(), {tokens, experts}, values);
}

TEST(Routing, SendsTokensToTheirExpertInBatchOrder) {
  const Routing r = route_top1(decided({1, 0, 1, 1, 2}, 4, 1), 2);
  EXPECT_EQ(r.tokens(), 5);
  EXPECT_EQ(r.experts(), 4);
  EXPECT_EQ(r.capacity(), 2);
  EXPECT_EQ(r.expert.to_vector<std::int32_t>(), (Ints{1, 0, 1, 1, 2}));
  EXPECT_EQ(r.position.to_vector<std::int32_t>(), (Ints{0, 0, 1, -1, 0}));
  EXPECT_EQ(r.slots.to_vector<std::int32_t>(), (Ints{1, -1, 0, 2, 4, -1, -1, -1}));
  EXPECT_EQ(r.counts.to_vector<std::int32_t>(), (Ints{1, 3, 1, 0}));
}

TEST(Routing, TiesGoToTheLowestIndex) {
  const Routing r = route_top1(Tensor::zeros(cpu(), {3, 4}, DType::f64), 3);
  EXPECT_EQ(r.expert.to_vector<std::int32_t>(), (Ints{0, 0, 0}));
  EXPECT_NEAR(r.balance.item(), 1, 1e-15) << "all tokens in one expert, but probabilities are even";
}

// Eq. 4 of the Switch paper without its factor.
TEST(Routing, TheBalanceLossFollowsItsFormula) {
  const Ints choices{1, 0, 1, 1, 2, 1};
  const Tensor logits = decided(choices, 3, 2);
  const Routing r = route_top1(logits, 1);
  const std::vector<double> p = r.probabilities.to_vector<double>();
  double expected = 0;
  for (std::size_t e = 0; e < 3; ++e) {
    double f = 0, importance = 0;
    for (std::size_t t = 0; t < 6; ++t) {
      f += choices[t] == static_cast<std::int32_t>(e) ? 1.0 / 6 : 0;
      importance += p[3 * t + e] / 6;
    }
    expected += 3 * f * importance;
  }
  EXPECT_NEAR(r.balance.item(), expected, 1e-14) << "f counts the tokens that the capacity drops";
}

// A Switch layer with its balance loss: tokens are dropped, an expert is idle, and the router's gradient comes by both ways.
Tensor switch_loss(const Tensor& x, const Tensor& router, const Tensor& experts, const Ints& choices,
                   std::int64_t capacity) {
  const Tensor logits = matmul(x, router) + decided(choices, router.dim(1), 9);
  const Routing r = route_top1(logits, capacity);
  const Tensor y = route_combine(route_dispatch(x, r) * experts, r);
  return sum(y * y) + affine(r.balance, 0.3, 0);
}

TEST(Routing, HasTheRightGradientThroughTheWholeLoss) {
  for (const std::int64_t capacity : {0, 1, 2, 6})
    expect_gradient(
        [&](const auto& in) {
          return switch_loss(in[0], in[1], in[2], {1, 0, 1, 1, 2, 1}, capacity);
        },
        {random_tensor({6, 3}, 1, -0.1, 0.1), random_tensor({3, 4}, 2), random_tensor({4, capacity, 3}, 3)});
}

TEST(Routing, OneExpertAndOneTokenAreNothingSpecial) {
  for (const auto& [tokens, experts] : {std::pair{5, 1}, std::pair{1, 4}, std::pair{1, 1}}) {
    const Ints choices(static_cast<std::size_t>(tokens), experts - 1);
    expect_gradient(
        [&](const auto& in) { return switch_loss(in[0], in[1], in[2], choices, 2); },
        {random_tensor({tokens, 2}, 1, -0.1, 0.1), random_tensor({2, experts}, 2), random_tensor({experts, 2, 2}, 3)});
  }
}

TEST(Routing, NoTokensGiveNoLossAndNoGradient) {
  Tensor logits = Tensor::zeros(cpu(), {0, 3}, DType::f64);
  const Routing r = route_top1(logits.set_requires_grad(true), 2);
  EXPECT_EQ(r.balance.item(), 0);
  EXPECT_EQ(route_combine(route_dispatch(Tensor::zeros(cpu(), {0, 5}, DType::f64), r), r).shape(), (Shape{0, 5}));
  r.balance.backward();
  EXPECT_EQ(logits.grad().shape(), (Shape{0, 3}));
}

TEST(Routing, EachResultHasItsOwnGradient) {
  Tensor one = decided({0, 1, 1}, 2, 1), other = one.clone(), both = one.clone();
  const Tensor cotangent = random_tensor({3}, 5);
  route_top1(one.set_requires_grad(true), 3).gate.backward(cotangent);
  route_top1(other.set_requires_grad(true), 3).balance.backward();
  const Routing r = route_top1(both.set_requires_grad(true), 3);
  (sum(r.gate * cotangent) + r.balance).backward();
  const auto a = one.grad().to_vector<double>(), b = other.grad().to_vector<double>(), sum = both.grad().to_vector<double>();
  for (std::size_t i = 0; i < sum.size(); ++i) EXPECT_NEAR(sum[i], a[i] + b[i], 1e-15);
}

// NaN never wins; where all are NaN the token goes somewhere, and its gate says so.
TEST(Routing, NanStaysInItsToken) {
  const double nan = std::nan("");
  const Routing r = route_top1(Tensor::from(cpu(), {3, 2}, std::vector<double>{nan, 1, nan, nan, 2, 1}), 3);
  const auto expert = r.expert.to_vector<std::int32_t>();
  for (const std::int32_t e : expert) EXPECT_TRUE(e == 0 || e == 1);
  EXPECT_EQ(expert[2], 0);
  const auto gate = r.gate.to_vector<double>();
  EXPECT_TRUE(std::isnan(gate[1]));
  EXPECT_FALSE(std::isnan(gate[2]));
}

TEST(Routing, RefusesWhatDoesNotFit) {
  const Routing r = route_top1(decided({0, 1, 1}, 2, 1), 2);
  expect_error([] { route_top1(random_tensor({8, 0}, 1), 2); }, {"[route_top1] needs 1 to 1024 experts", "[8, 0]"});
  expect_error([] { route_top1(random_tensor({8, 2}, 1), -1); }, {"[route_top1] a capacity of -1 tokens"});
  expect_error([&] { route_dispatch(random_tensor({4, 5}, 1), r); }, {"[route_dispatch] x must be [3, 5], got f64 [4, 5]"});
  expect_error([&] { route_combine(random_tensor({2, 3, 5}, 1), r); }, {"[route_combine] x must be [2, 2, 5]"});
  expect_error([&] { route_dispatch(in_f32(random_tensor({3, 5}, 1), cpu()), r); }, {"[route_dispatch] x must be f64"});
}

}  // namespace
}  // namespace alma::test
