#include "engine/autograd.h"

#include "engine/ops_elementwise.h"
#include "engine/ops_matmul.h"
#include "engine/ops_reduce.h"
#include "tests/engine/gradient_check.h"

namespace alma::test {
namespace {

Tensor leaf(std::vector<double> values) {
  Tensor x = Tensor::from(cpu(), {static_cast<std::int64_t>(values.size())}, values);
  return x.set_requires_grad(true);
}

TEST(Autograd, ATensorUsedTwiceGetsBothGradients) {
  const Tensor x = leaf({3});
  sum(x * x + x).backward();
  EXPECT_EQ(x.grad().item(), 7);
}

TEST(Autograd, ADiamondVisitsEachOpOnce) {
  const Tensor x = leaf({2});
  const Tensor y = x * x;     // 4
  sum(y * y + y).backward();  // d/dx x^4 + x^2 = 4 x^3 + 2 x
  EXPECT_EQ(x.grad().item(), 36);
}

TEST(Autograd, GradientsOfSeveralBackwardsAddUp) {
  const Tensor x = leaf({3});
  sum(x * x).backward();
  sum(x).backward();
  EXPECT_EQ(x.grad().item(), 7);
  x.clear_grad();
  EXPECT_FALSE(x.grad().defined());
}

TEST(Autograd, AddingUpDoesNotChangeWhatAnotherOpSaved) {
  // Both gradients of `+` are the same cotangent tensor; summing into it in place would corrupt the other.
  const Tensor a = leaf({1, 2}), b = leaf({3, 4});
  const Tensor s = a + b;
  (s + a).backward(Tensor::from(cpu(), {2}, std::vector<double>{10, 20}));
  EXPECT_EQ(a.grad().to_vector<double>(), (std::vector<double>{20, 40}));
  EXPECT_EQ(b.grad().to_vector<double>(), (std::vector<double>{10, 20}));
}

TEST(Autograd, NothingIsRecordedWithoutNeed) {
  const Tensor x = leaf({1});
  EXPECT_FALSE((2.0 * Tensor::zeros(cpu(), {1}, DType::f64)).requires_grad());
  NoGrad off;
  EXPECT_FALSE((x * x).requires_grad());
}

TEST(Autograd, RecordingIsRestoredAfterNestedNoGrad) {
  const Tensor x = leaf({1});
  {
    NoGrad outer;
    { NoGrad inner; }
    EXPECT_FALSE((x * x).requires_grad());
  }
  EXPECT_TRUE((x * x).requires_grad());
}

TEST(Autograd, DetachedTensorsGetNoGradient) {
  const Tensor x = leaf({3});
  sum(x * x.detach()).backward();
  EXPECT_EQ(x.grad().item(), 3);
}

TEST(Autograd, MisuseIsRefused) {
  expect_error([] { sum(random_tensor({2}, 1)).backward(); }, {"[backward]", "nothing here wants a gradient"});
  expect_error([] { leaf({1, 2}).backward(); }, {"[backward]", "scalar", "[2]"});
  const Tensor x = leaf({2});
  const Tensor y = sum(x * x);
  y.backward();
  expect_error([&] { y.backward(); }, {"[backward]", "freed"});
  Tensor result = x * x;
  expect_error([&] { result.set_requires_grad(true); }, {"[set_requires_grad]", "multiply"});
  Tensor labels = Tensor::zeros(cpu(), {2}, DType::i32);
  expect_error([&] { labels.set_requires_grad(true); }, {"[set_requires_grad]", "i32"});
  expect_error([&] { (x * x).backward(Tensor::zeros(cpu(), {3}, DType::f64)); }, {"[backward] cotangent", "[3]"});
}

TEST(Autograd, AChainOfAHundredThousandOpsNeitherRecursesForwardNorBack) {
  const Tensor x = leaf({1});
  Tensor y = x;
  for (int i = 0; i < 100'000; ++i) y = affine(y, 1, 0);
  y.backward();
  EXPECT_EQ(x.grad().item(), 1);
  Tensor unused = x;
  for (int i = 0; i < 100'000; ++i) unused = affine(unused, 1, 0);
}  // the unused graph is freed here

TEST(Autograd, BackwardFreesSavedTensorsAsItGoes) {
  Context context("cpu");
  Tensor x = Tensor::full(context, {1024}, DType::f64, 1);
  x.set_requires_grad(true);
  const std::size_t before = context.allocator().stats().in_use;
  Tensor y = x;
  for (int i = 0; i < 10; ++i) y = y * y;
  const Tensor loss = sum(y);
  y = Tensor();
  EXPECT_GE(context.allocator().stats().in_use, before + 9 * 8192)
      << "each product saves what it multiplied; the first one x itself";
  loss.backward();
  EXPECT_LE(context.allocator().stats().in_use, before + 8192 + 2 * 512) << "the gradient of x and two scalars are left";
}

TEST(Autograd, ASteadyStepAllocatesNothing) {
  Context context("cpu");
  Tensor w = Tensor::full(context, {16, 32}, DType::f32, 0.01);
  w.set_requires_grad(true);
  const Tensor x = Tensor::full(context, {8, 32}, DType::f32, 1);
  const auto step = [&] {
    sum(linear(x, w, Tensor(), true)).backward();
    w.clear_grad();
  };
  step();
  const std::int64_t calls = context.allocator().stats().device_calls;
  for (int i = 0; i < 10; ++i) step();
  EXPECT_EQ(context.allocator().stats().device_calls, calls);
}

}  // namespace
}  // namespace alma::test
