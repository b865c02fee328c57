#include "engine/ops_norm.h"

#include <cmath>

#include "tests/engine/gradient_check.h"

namespace alma::test {
namespace {

TEST(LayerNorm, FollowsTheFormulaAlongTheLastDimension) {
  const Tensor x = random_tensor({2, 3, 5}, 1, -3, 4), gamma = random_tensor({5}, 2), beta = random_tensor({5}, 3);
  const Tensor y = layer_norm(x, gamma, beta, 0.25);
  EXPECT_EQ(y.shape(), x.shape());
  const auto v = x.to_vector<double>(), g = gamma.to_vector<double>(), b = beta.to_vector<double>(),
             found = y.to_vector<double>();
  for (std::size_t r = 0; r < 6; ++r) {
    double mean = 0, variance = 0;
    for (std::size_t i = 0; i < 5; ++i) mean += v[5 * r + i] / 5;
    for (std::size_t i = 0; i < 5; ++i) variance += (v[5 * r + i] - mean) * (v[5 * r + i] - mean) / 5;
    for (std::size_t i = 0; i < 5; ++i)
      EXPECT_NEAR(found[5 * r + i], (v[5 * r + i] - mean) / std::sqrt(variance + 0.25) * g[i] + b[i], 1e-14);
  }
}

TEST(LayerNorm, HasTheRightGradient) {
  const auto f = [](const auto& in) { return layer_norm(in[0], in[1], in[2]); };
  for (const Shape& shape : {Shape{4, 7}, Shape{2, 3, 5}, Shape{1, 33}})
    expect_gradient(f, {random_tensor(shape, 1, -2, 3), random_tensor({shape.last()}, 2), random_tensor({shape.last()}, 3)});
}

TEST(LayerNorm, TakesNoRows) {
  EXPECT_EQ(layer_norm(Tensor::zeros(cpu(), {0, 4}, DType::f64), random_tensor({4}, 1), random_tensor({4}, 2)).shape(),
            (Shape{0, 4}));
}

TEST(LayerNorm, RefusesParametersThatDoNotFit) {
  const Tensor x = random_tensor({2, 4}, 1), four = random_tensor({4}, 2);
  expect_error([&] { layer_norm(x, random_tensor({3}, 3), four); }, {"[layer_norm] gamma must be [4], got f64 [3]"});
  expect_error([&] { layer_norm(x, four, in_f32(four, cpu())); }, {"[layer_norm] beta must be f64, got f32 [4]"});
  expect_error(
      [&] {
        layer_norm(random_tensor({2, 0}, 1), four, four);
      },
      {"[layer_norm] no elements in the rows of [2, 0]"});
  expect_error([&] { layer_norm(random_tensor({}, 1), four, four); }, {"[layer_norm] no elements"});
}

}  // namespace
}  // namespace alma::test
