#include "engine/ops_elementwise.h"

#include <cmath>

#include "tests/engine/gradient_check.h"

namespace alma::test {
namespace {

struct Pair {
  Shape a, b, y;
};
// Equal, scalar, row, column, both widened, leading dimension missing.
const std::vector<Pair> kBroadcasts = {{{3, 4}, {3, 4}, {3, 4}},       {{3, 4}, {}, {3, 4}},     {{}, {3, 4}, {3, 4}},
                                       {{3, 4}, {4}, {3, 4}},          {{3, 4}, {3, 1}, {3, 4}}, {{3, 1}, {1, 4}, {3, 4}},
                                       {{2, 3, 4}, {3, 1}, {2, 3, 4}}, {{0, 4}, {4}, {0, 4}}};

// The element of a tensor that broadcasting puts at `index` of y.
double broadcast_at(const std::vector<double>& values, const Shape& shape, const Shape& y, std::int64_t index) {
  std::int64_t offset = 0, stride = 1;
  for (int i = y.rank() - 1, j = shape.rank() - 1; i >= 0; --i, --j) {
    const std::int64_t position = index % y[i];
    index /= y[i];
    if (j < 0) continue;
    if (shape[j] != 1) offset += position * stride;
    stride *= shape[j];
  }
  return values[static_cast<std::size_t>(offset)];
}

TEST(Elementwise, BinaryOpsBroadcastAsNumpyDoes) {
  for (const auto& [sa, sb, sy] : kBroadcasts) {
    const Tensor a = random_tensor(sa, 1), b = random_tensor(sb, 2, 0.5, 2);
    const auto va = a.to_vector<double>(), vb = b.to_vector<double>();
    const Tensor sum = a + b, difference = a - b, product = a * b, quotient = a / b;
    ASSERT_EQ(sum.shape(), sy);
    const auto add = sum.to_vector<double>(), sub = difference.to_vector<double>(), mul = product.to_vector<double>(),
               div = quotient.to_vector<double>();
    for (std::int64_t i = 0; i < sy.count(); ++i) {
      const double x = broadcast_at(va, sa, sy, i), z = broadcast_at(vb, sb, sy, i);
      const auto at = static_cast<std::size_t>(i);
      EXPECT_EQ(add[at], x + z);
      EXPECT_EQ(sub[at], x - z);
      EXPECT_EQ(mul[at], x * z);
      EXPECT_EQ(div[at], x / z);
    }
  }
}

TEST(Elementwise, BinaryOpsHaveTheRightGradients) {
  for (const auto& [sa, sb, sy] : kBroadcasts) {
    const Tensor a = random_tensor(sa, 3), b = random_tensor(sb, 4, 0.5, 2);
    expect_gradient([](const auto& in) { return in[0] + in[1]; }, {a, b});
    expect_gradient([](const auto& in) { return in[0] - in[1]; }, {a, b});
    expect_gradient([](const auto& in) { return in[0] * in[1]; }, {a, b});
    expect_gradient([](const auto& in) { return in[0] / in[1]; }, {a, b});
  }
}

TEST(Elementwise, ShapesThatDoNotBroadcastAreRefused) {
  expect_error([] { random_tensor({3, 4}, 1) + random_tensor({3}, 2); }, {"[add]", "[3, 4]", "[3]", "broadcast"});
}

TEST(Elementwise, MixedDtypesAreRefused) {
  expect_error([] { random_tensor({3}, 1) * Tensor::zeros(cpu(), {3}, DType::f32); }, {"[multiply]", "f64", "f32"});
}

TEST(Elementwise, UnaryOpsHaveTheRightValuesAndGradients) {
  const Tensor x = random_tensor({5, 7}, 5, 0.2, 3);
  const auto v = x.to_vector<double>();
  const auto e = exp(x).to_vector<double>(), l = log(x).to_vector<double>(), s = sqrt(x).to_vector<double>(),
             a = affine(x, -2.5, 0.75).to_vector<double>();
  for (std::size_t i = 0; i < v.size(); ++i) {
    EXPECT_NEAR(e[i], std::exp(v[i]), 1e-14 * std::exp(v[i]));
    EXPECT_NEAR(l[i], std::log(v[i]), 1e-15 + 1e-15 * std::abs(std::log(v[i])));
    EXPECT_EQ(s[i], std::sqrt(v[i]));
    EXPECT_NEAR(a[i], -2.5 * v[i] + 0.75, 1e-15);  // with or without a fused multiply-add
  }
  expect_gradient([](const auto& in) { return exp(in[0]); }, {x});
  expect_gradient([](const auto& in) { return gelu(in[0]); }, {random_tensor({5, 7}, 6, -4, 4)});
  expect_gradient([](const auto& in) { return log(in[0]); }, {x});
  expect_gradient([](const auto& in) { return sqrt(in[0]); }, {x});
  expect_gradient([](const auto& in) { return affine(in[0], -2.5, 0.75); }, {x});
  expect_gradient([](const auto& in) { return -in[0]; }, {x});
  expect_gradient([](const auto& in) { return 3.0 * in[0]; }, {x});
}

TEST(Elementwise, ReluCutsAtZeroAndHasNoGradientThere) {
  Tensor x = Tensor::from(cpu(), {5}, std::vector<double>{-2, -0.5, 0, 0.5, 2});
  EXPECT_EQ(relu(x).to_vector<double>(), (std::vector<double>{0, 0, 0, 0.5, 2}));
  x.set_requires_grad(true);
  relu(x).backward(Tensor::full(cpu(), {5}, DType::f64, 3));
  EXPECT_EQ(x.grad().to_vector<double>(), (std::vector<double>{0, 0, 0, 3, 3}));
}

TEST(Elementwise, NanGoesThroughRelu) {
  const Tensor x = Tensor::from(cpu(), {1}, std::vector<double>{std::nan("")});
  EXPECT_TRUE(std::isnan(relu(x).item())) << "a lost NaN hides a diverged run";
}

}  // namespace
}  // namespace alma::test
