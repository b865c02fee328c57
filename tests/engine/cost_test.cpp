#include "engine/cost.h"

#include "engine/ops_loss.h"
#include "engine/ops_matmul.h"
#include "tests/engine/gradient_check.h"

namespace alma::test {
namespace {

TEST(Cost, AProductCountsOneMacPerMultiplyAddForwardAndTwoFlopsEachWay) {
  Tensor x = random_tensor({7, 5}, 1), w = random_tensor({3, 5}, 2);
  x.set_requires_grad(true);
  w.set_requires_grad(true);
  CostScope scope(cpu());
  const Tensor y = linear(x, w, Tensor());
  EXPECT_EQ(scope.cost().macs, 7u * 5 * 3);
  EXPECT_EQ(scope.cost().flops, 2u * 7 * 5 * 3);
  EXPECT_EQ(scope.cost().bytes, 8u * (7 * 5 + 3 * 5 + 7 * 3));
  y.backward(random_tensor({7, 3}, 3));
  EXPECT_EQ(scope.cost().macs, 7u * 5 * 3) << "the paper counts the forward pass only";
  EXPECT_EQ(scope.cost().flops, 3u * 2 * 7 * 5 * 3) << "forward, dX and dW";
}

TEST(Cost, AnInputThatWantsNoGradientCostsNoBackward) {
  const Tensor x = random_tensor({7, 5}, 1);
  Tensor w = random_tensor({3, 5}, 2);
  w.set_requires_grad(true);
  CostScope scope(cpu());
  linear(x, w, Tensor()).backward(random_tensor({7, 3}, 3));
  EXPECT_EQ(scope.cost().flops, 2u * 2 * 7 * 5 * 3);
}

TEST(Cost, ScopesNest) {
  const Tensor x = random_tensor({2, 2}, 1);
  CostScope outer(cpu());
  matmul(x, x);
  CostScope inner(cpu());
  matmul(x, x);
  EXPECT_EQ(inner.cost().macs, 8u);
  EXPECT_EQ(outer.cost().macs, 16u);
}

TEST(Cost, CountsGoBeyond64Bits) {
  Cost cost;
  const Count large = static_cast<Count>(1) << 63;
  cost += {large, 0, 0};
  cost += {large, 0, 0};
  EXPECT_TRUE(cost.macs == large * 2);
}

}  // namespace
}  // namespace alma::test
