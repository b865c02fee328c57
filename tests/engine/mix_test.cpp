#include "engine/ops_mix.h"

#include "tests/engine/gradient_check.h"

namespace alma::test {
namespace {

TEST(Mix, WeighsExpertsByTheirGates) {
  const Tensor gates = Tensor::from(cpu(), {2, 2}, std::vector<double>{0.25, 0.75, 1, 0});
  const Tensor a = Tensor::from(cpu(), {2, 2}, std::vector<double>{4, 8, 1, 2}),
               b = Tensor::from(cpu(), {2, 2}, std::vector<double>{0, 4, 7, 7});
  EXPECT_EQ(mix(gates, {a, b}).to_vector<double>(), (std::vector<double>{1, 5, 1, 2}));
}

TEST(Mix, HasTheRightGradientForOneToSixteenExperts) {
  for (const std::int64_t k : {1, 2, 3, 16}) {
    std::vector<Tensor> inputs{random_tensor({5, k}, 1)};
    for (std::int64_t i = 0; i < k; ++i) inputs.push_back(random_tensor({5, 3}, static_cast<std::uint64_t>(10 + i)));
    expect_gradient([](const auto& in) { return mix(in[0], std::vector<Tensor>(in.begin() + 1, in.end())); }, inputs);
  }
}

TEST(Mix, RefusesGatesAndExpertsThatDoNotFit) {
  const Tensor x = random_tensor({5, 3}, 1);
  expect_error([&] { mix(random_tensor({5, 3}, 2), {x, x}); }, {"[mix] gates must be [5, 2], got f64 [5, 3]"});
  expect_error([&] { mix(random_tensor({5, 2}, 2), {x, random_tensor({5, 4}, 3)}); }, {"[mix] every expert must be [5, 3]"});
  expect_error([&] { mix(random_tensor({5, 2}, 2), {}); }, {"[mix]", "got 0"});
}

TEST(Mix, TakesAGateForEachPartOfARow) {
  // Two images of two members with 1 x 2 pixels, side by side.
  const Tensor gates = Tensor::from(cpu(), {4, 1}, std::vector<double>{1, 2, 3, 4});
  const Tensor x = Tensor::from(cpu(), {2, 2, 1, 2}, std::vector<double>{1, 2, 3, 4, 5, 6, 7, 8});
  const Tensor y = mix(gates, {x}, 2);
  EXPECT_EQ(y.shape(), x.shape());
  EXPECT_EQ(y.to_vector<double>(), (std::vector<double>{1, 2, 6, 8, 15, 18, 28, 32}));
  expect_gradient(
      [](const auto& in) {
        return mix(in[0], {in[1], in[2]}, 3);
      },
      {random_tensor({6, 2}, 1), random_tensor({2, 6, 1, 2}, 2), random_tensor({2, 6, 1, 2}, 3)});
  expect_error([&] { mix(random_tensor({6, 1}, 2), {x}, 2); }, {"[mix] gates must be [4, 1], got f64 [6, 1]"});
  expect_error([&] { mix(random_tensor({4, 1}, 2), {x}); }, {"[mix] gates must be [2, 1], got f64 [4, 1]"});
  expect_error([&] { mix(random_tensor({6, 1}, 2), {x}, 3); }, {"[mix] 3 gates for each of the images [2, 2, 1, 2]"});
  expect_error(
      [&] {
        mix(random_tensor({4, 1}, 2), {random_tensor({2, 2}, 1)}, 2);
      },
      {"[mix] every expert must have rank 4"});
}

}  // namespace
}  // namespace alma::test
