#include "engine/ops_reduce.h"

#include "engine/ops_broadcast.h"
#include "engine/ops_elementwise.h"
#include "tests/engine/gradient_check.h"

namespace alma::test {
namespace {

TEST(Reduce, SumsTheNamedAxes) {
  const Tensor x = Tensor::from(cpu(), {2, 3}, std::vector<double>{1, 2, 3, 10, 20, 30});
  EXPECT_EQ(sum(x).item(), 66);
  EXPECT_EQ(sum(x, {0}).to_vector<double>(), (std::vector<double>{11, 22, 33}));
  EXPECT_EQ(sum(x, {1}).to_vector<double>(), (std::vector<double>{6, 60}));
  EXPECT_EQ(sum(x, {-1}, true).shape(), (Shape{2, 1}));
  EXPECT_EQ(sum(x, {0, 1}).shape(), Shape{});
  EXPECT_EQ(mean(x).item(), 11);
  EXPECT_EQ(mean(x, {0}).to_vector<double>(), (std::vector<double>{5.5, 11, 16.5}));
}

TEST(Reduce, MiddleAxisOfThree) {
  std::vector<double> values(24);
  for (std::size_t i = 0; i < 24; ++i) values[i] = static_cast<double>(i);
  const auto y = sum(Tensor::from(cpu(), {2, 3, 4}, values), {1}).to_vector<double>();
  for (std::size_t o = 0; o < 2; ++o)
    for (std::size_t i = 0; i < 4; ++i)
      EXPECT_EQ(y[o * 4 + i], values[o * 12 + i] + values[o * 12 + 4 + i] + values[o * 12 + 8 + i]);
}

TEST(Reduce, HasTheRightGradients) {
  const Tensor x = random_tensor({2, 3, 4}, 1);
  expect_gradient([](const auto& in) { return sum(in[0]); }, {x});
  expect_gradient([](const auto& in) { return sum(in[0], {1}); }, {x});
  expect_gradient([](const auto& in) { return sum(in[0], {0, 2}); }, {x});
  expect_gradient([](const auto& in) { return sum(in[0], {0, 2}, true); }, {x});
  expect_gradient([](const auto& in) { return mean(in[0]); }, {x});
  expect_gradient([](const auto& in) { return mean(in[0], {-1}); }, {x});
  expect_gradient([](const auto& in) { return sum_to(in[0], {3, 1}); }, {x});
}

TEST(Reduce, AnEmptySumIsZeroAndAnEmptyMeanIsRefused) {
  const Tensor x = Tensor::empty(cpu(), {0, 3}, DType::f64);
  EXPECT_EQ(sum(x).item(), 0);
  EXPECT_EQ(sum(x, {0}).to_vector<double>(), (std::vector<double>{0, 0, 0}));
  expect_error([&] { mean(x); }, {"[mean]", "no elements", "[0, 3]"});
}

TEST(Reduce, WrongAxesAreRefused) {
  expect_error([] { sum(random_tensor({2, 3}, 1), {2}); }, {"[sum]", "axis 2", "[2, 3]"});
  expect_error([] { sum_to(random_tensor({2, 3}, 1), {2}); }, {"[sum]", "broadcast"});
}

TEST(Reduce, ArgmaxTakesTheFirstOfEquals) {
  const Tensor x = Tensor::from(cpu(), {3, 3}, std::vector<double>{1, 2, 2, 5, 4, 5, -1, -1, -1});
  EXPECT_EQ(argmax(x).to_vector<std::int32_t>(), (std::vector<std::int32_t>{1, 0, 0}));
  expect_error([] { argmax(Tensor::empty(cpu(), {3, 0}, DType::f64)); }, {"[argmax]", "[3, 0]"});
}

}  // namespace
}  // namespace alma::test
