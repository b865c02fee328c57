#include "engine/ops_experts.h"

#include "engine/ops_elementwise.h"
#include "engine/ops_matmul.h"
#include "engine/ops_reduce.h"
#include "engine/ops_shape.h"
#include "tests/engine/gradient_check.h"
#include "tests/simulator.h"

namespace alma::test {
namespace {

// Routes as these choices say, by logits that are well apart.
Routing routes(const std::vector<std::int32_t>& choices, std::int64_t experts, std::int64_t capacity, Context& context,
               DType dtype) {
  const auto tokens = static_cast<std::int64_t>(choices.size());
  std::vector<double> logits(static_cast<std::size_t>(tokens * experts));
  for (std::size_t t = 0; t < choices.size(); ++t)
    logits[t * static_cast<std::size_t>(experts) + static_cast<std::size_t>(choices[t])] = 3;
  const Tensor exact = Tensor::from(cpu(), {tokens, experts}, logits);
  return route_top1(dtype == DType::f64 ? exact : in_f32(exact, context), capacity);
}

const std::vector<std::int32_t> kChoices{1, 0, 1, 1, 2, 1, 0};  // nobody chooses expert 3

std::vector<Tensor> inputs(std::int64_t d = 3, std::int64_t hidden = 5) {
  return {random_tensor({7, d}, 1), random_tensor({4, hidden, d}, 2), random_tensor({4, hidden}, 3),
          random_tensor({4, d, hidden}, 4), random_tensor({4, d}, 5)};
}

Tensor loss_of(std::span<const Tensor> in, const Routing& routing, bool gelu = false) {
  const ExpertWeights weights{in[1], in[2], in[3], in[4], gelu};
  const Tensor y = route_combine(expert_layers(route_dispatch(in[0], routing), weights, routing), routing);
  return sum(y * y);
}

TEST(ExpertLayers, HaveTheRightGradientWithDropsAndIdleExperts) {
  for (const bool gelu : {false, true})
    for (const std::int64_t capacity : {1, 2, 7})
      expect_gradient([&](const auto& in) { return loss_of(in, routes(kChoices, 4, capacity, cpu(), DType::f64), gelu); },
                      inputs());
}

// Also where one of the inputs alone wants a gradient.
TEST(ExpertLayers, EachInputMayBeTheOnlyOneThatIsTrained) {
  std::vector<Tensor> all = inputs();
  for (Tensor& x : all) x.set_requires_grad(true);
  loss_of(all, routes(kChoices, 4, 2, cpu(), DType::f64)).backward();
  for (std::size_t i = 0; i < all.size(); ++i) {
    std::vector<Tensor> one = inputs();
    one[i].set_requires_grad(true);
    loss_of(one, routes(kChoices, 4, 2, cpu(), DType::f64)).backward();
    EXPECT_EQ(one[i].grad().to_vector<double>(), all[i].grad().to_vector<double>()) << "input " << i;
  }
}

// Each expert is a dense layer for its tokens.
TEST(ExpertLayers, AreDenseLayersOfTheirTokens) {
  const std::vector<Tensor> in = inputs();
  const Routing routing = routes(kChoices, 4, 3, cpu(), DType::f64);
  const Tensor tokens = route_dispatch(in[0], routing), y = expert_layers(tokens, {in[1], in[2], in[3], in[4]}, routing);
  const std::vector<std::int64_t> rows{2, 3, 1, 0};
  for (std::int64_t e = 0; e < 4; ++e) {
    const std::int64_t n = rows[static_cast<std::size_t>(e)];
    if (n == 0) continue;
    const Tensor hidden = linear(tokens.part(9 * e, {n, 3}), in[1].part(15 * e, {5, 3}), in[2].part(5 * e, {5}), true);
    const Tensor expected = linear(hidden, in[3].part(15 * e, {3, 5}), in[4].part(3 * e, {3}));
    EXPECT_EQ(y.part(9 * e, {n, 3}).to_vector<double>(), expected.to_vector<double>()) << "expert " << e;
  }
}

TEST(ExpertLayers, CostAsManyRowsAsThereAreTokensOnAllDevices) {
  const auto gpu = open_simulator();
  for (Context* context : {&cpu(), gpu.get()}) {
    if (context == nullptr) continue;
    for (const std::int64_t capacity : {1, 2, 7}) {
      std::vector<Tensor> in;
      for (const Tensor& x : inputs()) in.push_back(in_f32(x, *context).set_requires_grad(true));
      const Routing routing = routes(kChoices, 4, capacity, *context, DType::f32);
      const Tensor tokens = route_dispatch(in[0], routing);
      const CostScope scope(*context);
      const Tensor y = expert_layers(tokens, {in[1], in[2], in[3], in[4]}, routing);
      const Count rows = std::min<Count>(7, 4 * static_cast<Count>(capacity));
      EXPECT_TRUE(scope.cost().macs == rows * 2 * 3 * 5) << "capacity " << capacity;
      sum(y).backward();
      EXPECT_TRUE(scope.cost().macs == rows * 2 * 3 * 5) << "the paper counts the forward pass";
    }
  }
}

// In f32, with the products and masks that a dense layer has there; and on the simulated GPU, which multiplies all slots.
void expect_the_same_on(Context& context, bool gelu) {
  const auto values = [&](bool exact) {
    Context& there = exact ? cpu() : context;
    std::vector<Tensor> in;
    for (const Tensor& x : inputs(24, 40)) {
      in.push_back(exact ? x : in_f32(x, there));
      in.back().set_requires_grad(true);
    }
    const Tensor loss = loss_of(in, routes(kChoices, 4, 3, there, in[0].dtype()), gelu);
    loss.backward();
    std::vector<double> all;
    for (const Tensor& x : in) {
      if (exact) {
        for (const double g : x.grad().to_vector<double>()) all.push_back(g);
      } else {
        for (const float g : x.grad().to_vector<float>()) all.push_back(g);
      }
    }
    return all;
  };
  const std::vector<double> expected = values(true), found = values(false);
  for (std::size_t i = 0; i < found.size(); ++i)
    ASSERT_NEAR(found[i], expected[i], 2e-4 + 1e-4 * std::fabs(expected[i])) << i;
}

TEST(ExpertLayers, AreTheSameOnAllDevices) {
  const auto gpu = open_simulator();
  for (const bool gelu : {false, true})
    for (Context* context : {&cpu(), gpu.get()})
      if (context != nullptr) expect_the_same_on(*context, gelu);
}

TEST(ExpertLayers, RefuseWhatDoesNotFit) {
  const Routing routing = routes(kChoices, 4, 2, cpu(), DType::f64);
  std::vector<Tensor> in = inputs();
  expect_error(
      [&] {
        expert_layers(random_tensor({4, 3, 3}, 1), {in[1], in[2], in[3], in[4]}, routing);
      },
      {"[expert_layers] x must be [4, 2, 3]"});
  expect_error(
      [&] {
        expert_layers(random_tensor({4, 2, 3}, 1), {in[3], in[2], in[3], in[4]}, routing);
      },
      {"[expert_layers] in_weight must be [4, 5, 3]"});
}

}  // namespace
}  // namespace alma::test
