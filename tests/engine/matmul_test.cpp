#include "engine/ops_matmul.h"

#include "engine/ops_elementwise.h"
#include "tests/engine/gradient_check.h"

namespace alma::test {
namespace {

TEST(Matmul, IsThePlainTripleLoopForAllTransposes) {
  for (const bool ta : {false, true})
    for (const bool tb : {false, true}) {
      const std::int64_t m = 3, k = 5, n = 4;
      const Tensor a = random_tensor(ta ? Shape{k, m} : Shape{m, k}, 1),
                   b = random_tensor(tb ? Shape{n, k} : Shape{k, n}, 2);
      const Tensor c = matmul(a, b, ta, tb);
      ASSERT_EQ(c.shape(), (Shape{m, n}));
      const auto va = a.to_vector<double>(), vb = b.to_vector<double>(), vc = c.to_vector<double>();
      for (std::int64_t i = 0; i < m; ++i)
        for (std::int64_t j = 0; j < n; ++j) {
          double sum = 0;
          for (std::int64_t p = 0; p < k; ++p)
            sum += va[static_cast<std::size_t>(ta ? p * m + i : i * k + p)] *
                   vb[static_cast<std::size_t>(tb ? j * k + p : p * n + j)];
          EXPECT_NEAR(vc[static_cast<std::size_t>(i * n + j)], sum, 1e-14);
        }
    }
}

TEST(Matmul, HasTheRightGradientForAllTransposes) {
  for (const bool ta : {false, true})
    for (const bool tb : {false, true})
      expect_gradient([=](const auto& in) { return matmul(in[0], in[1], ta, tb); },
                      {random_tensor(ta ? Shape{5, 3} : Shape{3, 5}, 3), random_tensor(tb ? Shape{4, 5} : Shape{5, 4}, 4)});
}

TEST(Matmul, GivesNoGradientToAnInputThatWantsNone) {
  const Tensor a = random_tensor({3, 5}, 3);
  Tensor b = random_tensor({5, 4}, 4);
  b.set_requires_grad(true);
  matmul(a, b).backward(random_tensor({3, 4}, 5));
  EXPECT_FALSE(a.grad().defined());
  EXPECT_TRUE(b.grad().defined());
}

TEST(Matmul, RefusesSizesThatDoNotFit) {
  expect_error([] { matmul(random_tensor({3, 5}, 1), random_tensor({4, 5}, 2)); }, {"[matmul]", "[3, 5]", "[4, 5]"});
  expect_error([] { matmul(random_tensor({3}, 1), random_tensor({4, 5}, 2)); }, {"[matmul]", "rank 2", "[3]"});
}

// ReLU has a kink at 0, where central differences see neither side: the inputs keep the pre-activations away from it.
Tensor away_from_zero(const Shape& shape, std::uint64_t seed) {
  std::vector<double> values = random_tensor(shape, seed).to_vector<double>();
  for (double& value : values) value += value < 0 ? -0.05 : 0.05;
  return Tensor::from(cpu(), shape, values);
}

TEST(Linear, IsXTimesTransposedWeightPlusBias) {
  const Tensor x = Tensor::from(cpu(), {2, 2}, std::vector<double>{1, 2, 3, 4});
  const Tensor w = Tensor::from(cpu(), {3, 2}, std::vector<double>{1, 0, 0, 1, -1, -1});
  const Tensor b = Tensor::from(cpu(), {3}, std::vector<double>{10, 20, 1});
  EXPECT_EQ(linear(x, w, b).to_vector<double>(), (std::vector<double>{11, 22, -2, 13, 24, -6}));
  EXPECT_EQ(linear(x, w, b, true).to_vector<double>(), (std::vector<double>{11, 22, 0, 13, 24, 0}));
  EXPECT_EQ(linear(x, w, Tensor()).to_vector<double>(), (std::vector<double>{1, 2, -3, 3, 4, -7}));
}

TEST(Linear, HasTheRightGradient) {
  const Tensor x = away_from_zero({7, 5}, 6), w = away_from_zero({3, 5}, 7), b = away_from_zero({3}, 8);
  expect_gradient([](const auto& in) { return linear(in[0], in[1], in[2]); }, {x, w, b});
  expect_gradient([](const auto& in) { return linear(in[0], in[1], in[2], true); }, {x, w, b});
  expect_gradient([](const auto& in) { return linear(in[0], in[1], Tensor()); }, {x, w});
  expect_gradient([](const auto& in) { return linear(in[0], in[1], Tensor(), true); }, {x, w});
}

// The later layer leaves the earlier one its masked cotangent and its bias's gradient; not so where somebody else reads y.
TEST(Linear, HasTheRightGradientThroughAReluBefore) {
  const Tensor x = away_from_zero({7, 5}, 6), w = away_from_zero({3, 5}, 7), b = away_from_zero({3}, 8);
  const Tensor v = away_from_zero({4, 3}, 9), c = away_from_zero({4}, 10), u = away_from_zero({4, 3}, 11);
  expect_gradient([](const auto& in) { return linear(linear(in[0], in[1], in[2], true), in[3], in[4]); }, {x, w, b, v, c});
  expect_gradient([](const auto& in) { return linear(linear(in[0], in[1], Tensor(), true), in[2], in[3], true); },
                  {x, w, v, c});
  expect_gradient([](const auto& in) { return linear(linear(in[0], in[1], in[2]), in[3], in[4]); }, {x, w, b, v, c});
  expect_gradient(
      [](const auto& in) {
        const Tensor y = linear(in[0], in[1], in[2], true);
        return linear(y, in[3], in[4]) + linear(y, in[5], Tensor());
      },
      {x, w, b, v, c, u});
  for (const bool linear_first : {false, true})
    expect_gradient(
        [linear_first](const auto& in) {
          const Tensor y = linear(in[0], in[1], in[2], true);
          const Tensor other = y * y;
          const Tensor next = linear(y, in[3], Tensor());
          return linear_first ? linear(next, in[4], Tensor()) + other : other + linear(next, in[4], Tensor());
        },
        {x, w, b, v, away_from_zero({3, 4}, 12)});
}

// What is not asked for does not change what is.
TEST(Linear, ReluBeforeWithoutABiasGradientOrWeightGradient) {
  Tensor x = random_tensor({4, 5}, 1), w = random_tensor({3, 5}, 2), b = random_tensor({3}, 3), v = random_tensor({2, 3}, 4);
  const Tensor dy = random_tensor({4, 2}, 5);
  const auto gradients = [&](bool of_weight, bool of_bias) {
    w.set_requires_grad(of_weight);
    b.set_requires_grad(of_bias);
    x.set_requires_grad(true);
    linear(linear(x, w, b, true), v, Tensor()).backward(dy);
    const std::vector<double> result = x.grad().to_vector<double>();
    std::vector<double> bias = of_bias ? b.grad().to_vector<double>() : std::vector<double>();
    for (const Tensor* t : {&x, &w, &b}) t->clear_grad();
    return std::pair(result, bias);
  };
  const auto all = gradients(true, true);
  EXPECT_EQ(gradients(false, false).first, all.first);
  EXPECT_EQ(gradients(true, false).first, all.first);
  EXPECT_EQ(gradients(false, true), all);
}

TEST(Linear, RefusesSizesThatDoNotFit) {
  expect_error(
      [] {
        linear(random_tensor({7, 5}, 1), random_tensor({3, 4}, 2), Tensor());
      },
      {"[linear]", "[7, 5]", "[3, 4]"});
  expect_error(
      [] {
        linear(random_tensor({7, 5}, 1), random_tensor({3, 5}, 2), random_tensor({4}, 3));
      },
      {"[linear] bias must be [3], got f64 [4]"});
}

TEST(StackedLinear, IsOneLinearForEachMembersRows) {
  const Tensor x = random_tensor({6, 4}, 1), w = random_tensor({2, 5, 4}, 2), b = random_tensor({2, 5}, 3);
  for (const bool relu : {false, true}) {
    const Tensor y = stacked_linear(x, w, b, relu);
    ASSERT_EQ(y.shape(), (Shape{6, 5}));
    for (std::int64_t m = 0; m < 2; ++m)
      EXPECT_EQ(y.part(15 * m, {3, 5}).to_vector<double>(),
                linear(x.part(12 * m, {3, 4}), w.part(20 * m, {5, 4}), b.part(5 * m, {5}), relu).to_vector<double>());
  }
}

TEST(StackedLinear, HasTheRightGradient) {
  for (const bool relu : {false, true})
    expect_gradient([=](const auto& in) { return stacked_linear(in[0], in[1], in[2], relu); },
                    {away_from_zero({6, 4}, 11), away_from_zero({2, 3, 4}, 12), away_from_zero({2, 3}, 13)});
  expect_gradient([](const auto& in) { return stacked_linear(in[0], in[1], {}); },
                  {random_tensor({9, 2}, 4), random_tensor({3, 1, 2}, 5)});
}

TEST(StackedLinear, RefusesRowsAndWeightsThatDoNotFit) {
  const Tensor w = random_tensor({2, 5, 4}, 2);
  expect_error([&] { stacked_linear(random_tensor({5, 4}, 1), w, {}); }, {"[stacked_linear]", "[5, 4]", "[2, 5, 4]"});
  expect_error([&] { stacked_linear(random_tensor({6, 3}, 1), w, {}); }, {"[stacked_linear]", "[6, 3]"});
  expect_error([&] { stacked_linear(random_tensor({6, 4}, 1), w, random_tensor({5}, 3)); }, {"bias must be [2, 5]"});
}

}  // namespace
}  // namespace alma::test
