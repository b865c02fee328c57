#include "engine/ops_shape.h"

#include "tests/engine/gradient_check.h"

namespace alma::test {
namespace {

TEST(Shape, ReshapeKeepsTheElements) {
  const Tensor x = random_tensor({2, 6}, 1);
  const Tensor y = reshape(x, {3, -1});
  EXPECT_EQ(y.shape(), (Shape{3, 4}));
  EXPECT_EQ(y.to_vector<double>(), x.to_vector<double>());
  expect_gradient([](const auto& in) { return reshape(in[0], {4, 3}); }, {x});
  expect_error([&] { reshape(x, {5, -1}); }, {"[reshape]", "[2, 6]", "5"});
  expect_error([&] { reshape(x, {-1, -1}); }, {"[reshape]", "more than one"});
  expect_error([&] { reshape(x, {5, 2}); }, {"[2, 6]", "[5, 2]"});
}

TEST(Shape, ConcatJoinsAlongEveryAxis) {
  const Tensor a = Tensor::from(cpu(), {2, 2}, std::vector<double>{1, 2, 3, 4}),
               b = Tensor::from(cpu(), {2, 1}, std::vector<double>{5, 6});
  EXPECT_EQ(concat({a, b}, 1).to_vector<double>(), (std::vector<double>{1, 2, 5, 3, 4, 6}));
  EXPECT_EQ(concat({a, a}, 0).to_vector<double>(), (std::vector<double>{1, 2, 3, 4, 1, 2, 3, 4}));
  EXPECT_EQ(concat({a, b}, -1).shape(), (Shape{2, 3}));
  expect_error([&] { concat({a, b}, 0); }, {"[concat]", "[2, 1]"});
  expect_error([] { concat({}, 0); }, {"[concat]", "nothing"});
}

TEST(Shape, ConcatAndSliceHaveTheRightGradients) {
  const Tensor a = random_tensor({2, 3, 2}, 2), b = random_tensor({2, 1, 2}, 3), c = random_tensor({2, 0, 2}, 4);
  expect_gradient([](const auto& in) { return concat({in[0], in[1], in[2]}, 1); }, {a, b, c});
  for (const int axis : {0, 1, 2}) expect_gradient([=](const auto& in) { return slice(in[0], axis, 1, 2); }, {a});
  expect_gradient([](const auto& in) { return slice(in[0], 1, 0, 3); }, {a});
}

TEST(Shape, SplitIsTheInverseOfConcat) {
  const Tensor x = random_tensor({3, 7}, 5);
  const std::vector<Tensor> parts = split(x, 1, {2, 0, 5});
  ASSERT_EQ(parts.size(), 3u);
  EXPECT_EQ(parts[1].shape(), (Shape{3, 0}));
  EXPECT_EQ(concat(parts, 1).to_vector<double>(), x.to_vector<double>());
  expect_gradient([](const auto& in) { return concat({split(in[0], 1, {2, 5})[1], split(in[0], 1, {2, 5})[0]}, 1); }, {x});
  expect_error([&] { split(x, 1, {2, 4}); }, {"[split]", "6 of 7"});
  expect_error([&] { slice(x, 1, 5, 8); }, {"[slice]", "[5, 8)", "[3, 7]"});
}

TEST(Shape, GatherTakesRowsAndAddsTheirGradientsUp) {
  const Tensor table = random_tensor({4, 3}, 6);
  const Tensor indices = Tensor::from(cpu(), {5}, std::vector<std::int32_t>{2, 0, 2, 3, 2});
  const auto v = table.to_vector<double>(), y = gather(table, indices).to_vector<double>();
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(y[i], v[2 * 3 + i]);
  expect_gradient([&](const auto& in) { return gather(in[0], indices); }, {table});
  expect_error([&] { gather(table, table); }, {"[gather] indices", "rank 1"});
}

TEST(Shape, SwapFirstTwoPutsTheFirstSecond) {
  const Tensor x = Tensor::from(cpu(), {2, 3, 2}, std::vector<double>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
  const Tensor y = swap_first_two(x);
  EXPECT_EQ(y.shape(), (Shape{3, 2, 2}));
  EXPECT_EQ(y.to_vector<double>(), (std::vector<double>{0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11}));
  EXPECT_EQ(swap_first_two(y).to_vector<double>(), x.to_vector<double>());
  for (const Shape& shape : {Shape{2, 5}, Shape{5, 2}, Shape{3, 3, 2}, Shape{1, 4, 2}}) {
    const Tensor z = random_tensor(shape, 6);
    EXPECT_EQ(swap_first_two(swap_first_two(z)).to_vector<double>(), z.to_vector<double>());
    expect_gradient([](const auto& in) { return swap_first_two(in[0]); }, {z});
  }
  EXPECT_EQ(swap_first_two(random_tensor({0, 3}, 7)).shape(), (Shape{3, 0}));
  expect_error([] { swap_first_two(random_tensor({3}, 7)); }, {"[swap_first_two]", "[3]"});
}

}  // namespace
}  // namespace alma::test
