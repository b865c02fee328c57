// linear_cross_entropy() against the two ops that it stands for.
#include <cmath>

#include "engine/ops_elementwise.h"
#include "engine/ops_loss.h"
#include "engine/ops_matmul.h"
#include "tests/engine/gradient_check.h"

namespace alma::test {
namespace {

Tensor labels_of(std::int64_t rows, std::int64_t classes) {
  std::vector<std::int32_t> labels(static_cast<std::size_t>(rows));
  for (std::size_t i = 0; i < labels.size(); ++i)
    labels[i] = static_cast<std::int32_t>(7 * i % static_cast<std::size_t>(classes));
  return Tensor::from(cpu(), {rows}, labels);
}

// In chunks of one row, of some that do not divide the rows, and of all.
TEST(LinearCrossEntropy, IsTheLossOfTheLogits) {
  const std::int64_t rows = 7, d = 3, classes = 5;
  const Tensor labels = labels_of(rows, classes);
  for (const std::int64_t most : {1, 10, 15, 20, 1000}) {
    Tensor x = random_tensor({rows, d}, 1), w = random_tensor({classes, d}, 2), x2 = x.clone(), w2 = w.clone();
    const Tensor found = linear_cross_entropy(x.set_requires_grad(true), w.set_requires_grad(true), labels, {}, most);
    const Tensor expected =
        softmax_cross_entropy(linear(x2.set_requires_grad(true), w2.set_requires_grad(true), {}), labels);
    EXPECT_NEAR(found.item(), expected.item(), 1e-14);
    found.backward();
    expected.backward();
    for (const auto& [a, b] : {std::pair{x, x2}, std::pair{w, w2}}) {
      const auto got = a.grad().to_vector<double>(), want = b.grad().to_vector<double>();
      for (std::size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-14) << most;
    }
  }
}

TEST(LinearCrossEntropy, HasTheRightGradient) {
  for (const std::int64_t rows : {1, 6})
    for (const std::int64_t most : {8, 1000})
      expect_gradient([&](const auto& in) { return linear_cross_entropy(in[0], in[1], labels_of(rows, 4), {9}, most); },
                      {random_tensor({rows, 3}, 1), random_tensor({4, 3}, 2)});
}

TEST(LinearCrossEntropy, MakesOnlyTheGradientsThatAreNeeded) {
  const Tensor labels = labels_of(4, 3);
  Tensor x = random_tensor({4, 2}, 1), w = random_tensor({3, 2}, 2);
  const auto cost = [&] {
    const Cost before = cpu().cost();
    linear_cross_entropy(x, w, labels);
    return cpu().cost() - before;
  };
  const Count macs = 4 * 3 * 2;
  EXPECT_TRUE(cost().macs == macs);
  EXPECT_TRUE(cost().flops == 2 * macs + 4 * 12);
  x.set_requires_grad(true);
  EXPECT_TRUE(cost().flops == 4 * macs + 6 * 12);
  w.set_requires_grad(true);
  EXPECT_TRUE(cost().flops == 6 * macs + 6 * 12);
  EXPECT_TRUE(cost().macs == macs) << "of the forward pass alone";
  NoGrad off;
  EXPECT_TRUE(cost().flops == 2 * macs + 4 * 12);
}

// What a model with many outputs returns: nobody has to know that its logits are not there.
TEST(DeferredLinear, HasTheLossesOfLinear) {
  const Tensor labels = labels_of(6, 4);
  expect_gradient([&](const auto& in) { return softmax_cross_entropy(deferred_linear(in[0], in[1]), labels); },
                  {random_tensor({6, 3}, 1), random_tensor({4, 3}, 2)});
  expect_gradient([&](const auto& in) { return softmax_cross_entropies(deferred_linear(in[0], in[1]), labels, 1, {8}); },
                  {random_tensor({6, 3}, 1), random_tensor({4, 3}, 2)});
  expect_gradient([&](const auto& in) { return softmax_cross_entropies(deferred_linear(in[0], in[1]), labels, 2); },
                  {random_tensor({6, 3}, 1), random_tensor({4, 3}, 2)});
  expect_gradient([](const auto& in) { return softmax(dense(deferred_linear(in[0], in[1]))); },
                  {random_tensor({6, 3}, 1), random_tensor({4, 3}, 2)});
}

TEST(DeferredLinear, IsEvaluatedLikeLinear) {
  const Tensor x = random_tensor({6, 3}, 1), w = random_tensor({4, 3}, 2), labels = labels_of(6, 4);
  const auto scores = [&](const Tensor& logits) {
    const Tensor loss = Tensor::empty(cpu(), {}, DType::f64), hits = Tensor::empty(cpu(), {}, DType::i32);
    evaluate_cross_entropy(logits, labels, loss, hits);
    return std::pair{loss.item(), hits.item()};
  };
  const Tensor logits = deferred_linear(x, w);
  EXPECT_EQ(logits.shape(), (Shape{6, 4}));
  EXPECT_EQ(scores(logits), scores(linear(x, w, {})));
  expect_error(
      [&] {
        deferred_linear(x, random_tensor({4, 2}, 2));
      },
      {"[deferred_linear] weight must be [4, 3], got f64 [4, 2]"});
}

TEST(LinearCrossEntropy, OfPartsAddsUpToThatOfTheBatch) {
  const Tensor x = random_tensor({7, 3}, 1), w = random_tensor({4, 3}, 2), labels = labels_of(7, 4);
  double loss = 0;
  for (const auto& [first, last] : {std::pair{0, 3}, std::pair{3, 3}, std::pair{3, 7}})
    loss += linear_cross_entropy(x.part(3 * first, {last - first, 3}), w, labels.part(first, {last - first}), {7}).item();
  EXPECT_NEAR(loss, linear_cross_entropy(x, w, labels).item(), 1e-15);
}

TEST(LinearCrossEntropy, NoRowsGiveAGradientOfZeros) {
  Tensor w = random_tensor({4, 3}, 2);
  linear_cross_entropy(Tensor::zeros(cpu(), {0, 3}, DType::f64), w.set_requires_grad(true), labels_of(0, 4), {5}).backward();
  EXPECT_EQ(w.grad().to_vector<double>(), std::vector<double>(12, 0));
}

TEST(LinearCrossEntropy, ALabelOutOfRangeGivesNan) {
  const Tensor labels = Tensor::from(cpu(), {2}, std::vector<std::int32_t>{0, 4});
  EXPECT_TRUE(std::isnan(linear_cross_entropy(random_tensor({2, 3}, 6), random_tensor({4, 3}, 7), labels).item()));
}

TEST(LinearCrossEntropy, RefusesWhatDoesNotFit) {
  const Tensor x = random_tensor({2, 3}, 1), w = random_tensor({4, 3}, 2), labels = labels_of(2, 4);
  expect_error(
      [&] {
        linear_cross_entropy(x, random_tensor({4, 2}, 2), labels);
      },
      {"[linear_cross_entropy] weight must be [4, 3], got f64 [4, 2]"});
  expect_error([&] { linear_cross_entropy(x, w, labels_of(3, 4)); }, {"[linear_cross_entropy] labels must be [2]"});
  expect_error([&] { linear_cross_entropy(x, in_f32(w, cpu()), labels); }, {"[linear_cross_entropy] weight must be f64"});
  expect_error([&] { linear_cross_entropy(x, random_tensor({0, 3}, 2), labels); }, {"no classes"});
  expect_error([&] { linear_cross_entropy(x, w, labels, {1}); }, {"over 1 rows, of which 2 are here"});
  expect_error([&] { linear_cross_entropy(random_tensor({0, 3}, 1), w, labels_of(0, 4)); }, {"the mean over no rows"});
}

}  // namespace
}  // namespace alma::test
