#include "engine/ops_loss.h"

#include <cmath>

#include "engine/ops_elementwise.h"
#include "tests/engine/gradient_check.h"

namespace alma::test {
namespace {

TEST(Softmax, RowsAddUpToOneAndFollowTheFormula) {
  const Tensor x = random_tensor({3, 7}, 1, -4, 4);
  const auto v = x.to_vector<double>(), y = softmax(x).to_vector<double>();
  for (std::size_t r = 0; r < 3; ++r) {
    double total = 0;
    for (std::size_t c = 0; c < 7; ++c) total += std::exp(v[r * 7 + c]);
    for (std::size_t c = 0; c < 7; ++c) EXPECT_NEAR(y[r * 7 + c], std::exp(v[r * 7 + c]) / total, 1e-15);
  }
}

TEST(Softmax, HasTheRightGradient) {
  expect_gradient([](const auto& in) { return softmax(in[0]); }, {random_tensor({5, 4}, 2)});
  expect_gradient([](const auto& in) { return softmax(in[0]); }, {random_tensor({5, 1}, 3)});
}

TEST(Softmax, StaysFiniteForLargeInputs) {
  const Tensor x = Tensor::from(cpu(), {1, 3}, std::vector<double>{1000, 999, -1000});
  const auto y = softmax(x).to_vector<double>();
  EXPECT_NEAR(y[0], 1 / (1 + std::exp(-1)), 1e-12);
  EXPECT_EQ(y[2], 0);
}

TEST(CrossEntropy, IsTheMeanOfNegativeLogProbabilities) {
  const Tensor x = random_tensor({4, 3}, 4, -2, 2);
  const std::vector<std::int32_t> labels{2, 0, 1, 1};
  const auto p = softmax(x).to_vector<double>();
  double expected = 0;
  for (std::size_t i = 0; i < 4; ++i) expected -= std::log(p[i * 3 + static_cast<std::size_t>(labels[i])]) / 4;
  EXPECT_NEAR(softmax_cross_entropy(x, Tensor::from(cpu(), {4}, labels)).item(), expected, 1e-14);
}

TEST(CrossEntropy, HasTheRightGradientWithAndWithoutACotangent) {
  const Tensor labels = Tensor::from(cpu(), {6}, std::vector<std::int32_t>{2, 0, 1, 1, 3, 0});
  expect_gradient([&](const auto& in) { return softmax_cross_entropy(in[0], labels); }, {random_tensor({6, 4}, 5)});
  // backward() starts with the cotangent one and takes the short way; it must agree with the long way.
  Tensor short_way = random_tensor({6, 4}, 5), long_way = random_tensor({6, 4}, 5);
  short_way.set_requires_grad(true);
  long_way.set_requires_grad(true);
  softmax_cross_entropy(short_way, labels).backward();
  softmax_cross_entropy(long_way, labels).backward(Tensor::full(cpu(), {}, DType::f64, 1));
  EXPECT_EQ(short_way.grad().to_vector<double>(), long_way.grad().to_vector<double>());
}

TEST(CrossEntropy, EvaluationCountsHitsAndSumsLosses) {
  const Tensor x = Tensor::from(cpu(), {3, 2}, std::vector<double>{2, 1, 0, 3, 1, 1});
  const Tensor labels = Tensor::from(cpu(), {3}, std::vector<std::int32_t>{0, 0, 1});
  const Tensor loss = Tensor::empty(cpu(), {}, DType::f64), hits = Tensor::empty(cpu(), {}, DType::i32);
  evaluate_cross_entropy(x, labels, loss, hits);
  EXPECT_EQ(hits.item(), 1) << "row 0 is right, row 1 wrong, and in row 2 the lowest index wins the tie";
  EXPECT_NEAR(loss.item(), std::log(1 + std::exp(-1)) + std::log(1 + std::exp(3)) + std::log(2.0), 1e-14);
}

TEST(CrossEntropy, ALabelOutOfRangeGivesNan) {
  const Tensor labels = Tensor::from(cpu(), {2}, std::vector<std::int32_t>{0, 3});
  EXPECT_TRUE(std::isnan(softmax_cross_entropy(random_tensor({2, 3}, 6), labels).item()));
}

TEST(CrossEntropy, RefusesWrongLabels) {
  const Tensor x = random_tensor({64, 3}, 1);
  expect_error([&] { softmax_cross_entropy(x, Tensor::zeros(cpu(), {63}, DType::i32)); },
               {"[softmax_cross_entropy] labels must be [64], got i32 [63]"});
  expect_error([&] { softmax_cross_entropy(x, Tensor::zeros(cpu(), {64}, DType::f64)); }, {"labels must be i32", "f64"});
  expect_error(
      [&] {
        softmax_cross_entropy(Tensor::empty(cpu(), {0, 3}, DType::f64), Tensor::empty(cpu(), {0}, DType::i32));
      },
      {"[softmax_cross_entropy]", "no rows"});
}

TEST(CrossEntropies, AreTheLossesOfEachMembersRows) {
  const Tensor logits = random_tensor({6, 4}, 1, -3, 3),
               labels = Tensor::from(cpu(), {6}, std::vector<std::int32_t>{0, 3, 1, 2, 2, 0});
  const Tensor losses = softmax_cross_entropies(logits, labels, 2);
  ASSERT_EQ(losses.shape(), (Shape{2}));
  for (std::int64_t m = 0; m < 2; ++m)
    EXPECT_EQ(losses.part(m, {}).item(), softmax_cross_entropy(logits.part(12 * m, {3, 4}), labels.part(3 * m, {3})).item());
  expect_gradient([&](const auto& in) { return softmax_cross_entropies(in[0], labels, 3); }, {logits});
  expect_error([&] { softmax_cross_entropies(logits, labels, 4); }, {"[softmax_cross_entropy]", "[6, 4]", "4 members"});
  expect_error([&] { softmax_cross_entropies(logits, labels, 0); }, {"[softmax_cross_entropy]", "no rows"});
}

// Parts that are means over the whole batch's rows add up to its loss and its gradient, an empty part to nothing.
TEST(CrossEntropies, OfPartsAddUpToThatOfTheBatch) {
  const std::int64_t rows = 7, classes = 4;
  const Tensor labels = Tensor::from(cpu(), {rows}, std::vector<std::int32_t>{0, 3, 1, 2, 2, 0, 1});
  Tensor whole = random_tensor({rows, classes}, 3, -3, 3), cut = random_tensor({rows, classes}, 3, -3, 3);
  const Tensor expected = softmax_cross_entropy(whole.set_requires_grad(true), labels);
  expected.backward();
  double loss = 0;
  const std::vector<double> gradient = whole.grad().to_vector<double>();
  for (const auto& [first, last] : {std::pair{0, 3}, std::pair{3, 3}, std::pair{3, 4}, std::pair{4, 7}}) {
    Tensor part = cut.part(first * classes, {last - first, classes}).clone();
    const Tensor found = softmax_cross_entropy(part.set_requires_grad(true), labels.part(first, {last - first}), {rows});
    found.backward();
    loss += found.item();
    const std::vector<double> of_part = part.grad().to_vector<double>();
    for (std::size_t i = 0; i < of_part.size(); ++i)
      EXPECT_EQ(of_part[i], gradient[static_cast<std::size_t>(first * classes) + i]);
  }
  EXPECT_NEAR(loss, expected.item(), 1e-15);
  expect_error([&] { softmax_cross_entropy(whole, labels, {6}); }, {"[softmax_cross_entropy]", "over 6 rows", "7 are here"});
  expect_error([&] { softmax_cross_entropies(whole, labels, 1, {-1}); }, {"[softmax_cross_entropy]", "over -1 rows"});
}

TEST(CrossEntropies, OfASumGiveEachMemberItsOwnGradient) {
  Tensor logits = random_tensor({6, 4}, 1, -3, 3);
  const Tensor labels = Tensor::from(cpu(), {6}, std::vector<std::int32_t>{0, 3, 1, 2, 2, 0});
  softmax_cross_entropies(logits.set_requires_grad(true), labels, 2).backward_of_sum();
  for (std::int64_t m = 0; m < 2; ++m) {
    Tensor own = logits.part(12 * m, {3, 4}).clone();
    softmax_cross_entropy(own.set_requires_grad(true), labels.part(3 * m, {3})).backward();
    EXPECT_EQ(logits.grad().part(12 * m, {3, 4}).to_vector<double>(), own.grad().to_vector<double>());
  }
}

}  // namespace
}  // namespace alma::test
