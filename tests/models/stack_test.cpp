// A stack of models is its members side by side: in f64, with the same losses, gradients, statistics and costs.
#include "engine/ops_images.h"
#include "engine/ops_loss.h"
#include "engine/optim.h"
#include "models/mlp.h"
#include "models/umix.h"
#include "models/vgg.h"
#include "tests/engine/gradient_check.h"
#include "tests/engine/passes.h"

namespace alma::test {
namespace {

using Models = std::vector<std::unique_ptr<Module>>;

std::vector<Module*> pointers(const Models& models) {
  std::vector<Module*> all;
  for (const auto& model : models) all.push_back(model.get());
  return all;
}

void expect_near(const Tensor& found, const Tensor& expected, const std::string& what) {
  ASSERT_EQ(found.shape(), expected.shape()) << what;
  const auto a = found.to_vector<double>(), b = expected.to_vector<double>();
  for (std::size_t i = 0; i < a.size(); ++i)
    ASSERT_NEAR(a[i], b[i], tolerance::golden_f64 * std::max(1.0, std::abs(b[i]))) << what << ", element " << i;
}

/// Two training steps and an evaluation; `swaps`: what the stack copies to bring images side by side costs bytes, but no
/// MACs and no FLOPs.
void expect_members_side_by_side(Models models, std::int64_t features, bool swaps) {
  const auto k = static_cast<std::int64_t>(models.size());
  constexpr std::int64_t rows = 3, classes = 10;
  Models alone;
  for (const auto& model : models) alone.push_back(model->clone(cpu()));
  const auto all = std::make_unique<Stack>(pointers(models));
  EXPECT_EQ(count_parameters(*all), k * count_parameters(*models[0]));
  const auto sgd = [](Module& model) { return Optimizer(named_parameters(model), SgdRule{.momentum = 0.9}, 0.01); };
  Optimizer optimizer = sgd(*all);
  std::vector<Optimizer> optimizers;
  for (const auto& model : alone) optimizers.push_back(sgd(*model));
  std::vector<std::int32_t> numbers;
  for (std::int32_t i = 0; i < k * rows; ++i) numbers.push_back(i * 7 % 10);
  const Tensor labels = Tensor::from(cpu(), {k * rows}, numbers);
  for (std::uint64_t step = 0; step < 2; ++step) {
    const Tensor x = random_tensor({k * rows, features}, step);
    CostScope scope(cpu());
    const Tensor losses = softmax_cross_entropies(trained(*all, x), labels, k);
    losses.backward_of_sum();
    const Cost cost = scope.cost();
    optimizer.step();
    const CostScope scope_of_one_by_one(cpu());
    Cost updates;
    for (std::int64_t m = 0; m < k; ++m) {
      const auto i = static_cast<std::size_t>(m);
      const Tensor part = x.part(m * rows * features, {rows, features});
      const Tensor loss = softmax_cross_entropy(trained(*alone[i], part), labels.part(m * rows, {rows}));
      expect_near(losses.part(m, {}), loss, "loss " + std::to_string(m));
      loss.backward();
      const CostScope update(cpu());
      optimizers[i].step();
      updates += update.cost();
    }
    const Cost expected = scope_of_one_by_one.cost() - updates;
    EXPECT_TRUE(cost.macs == expected.macs && cost.flops == expected.flops);
    EXPECT_TRUE(swaps ? cost.bytes > expected.bytes : cost.bytes == expected.bytes);
    for (std::size_t m = 0; m < alone.size(); ++m) {
      const auto state = named_state(*models[m]), reference = named_state(*alone[m]);
      for (std::size_t i = 0; i < state.size(); ++i) {
        ASSERT_EQ(state[i].first, reference[i].first);
        ASSERT_EQ(state[i].second.requires_grad(), reference[i].second.requires_grad());
        expect_near(state[i].second, reference[i].second, "member " + std::to_string(m) + ", " + state[i].first);
      }
    }
  }
  const NoGrad off;
  const Tensor x = random_tensor({k * rows, features}, 9);
  const Tensor y = evaluated(*all, x), copy = evaluated(*all->clone(cpu()), x);
  EXPECT_EQ(y.to_vector<double>(), copy.to_vector<double>()) << "a stack has clones";
  for (std::int64_t m = 0; m < k; ++m)
    expect_near(y.part(m * rows * classes, {rows, classes}),
                evaluated(*alone[static_cast<std::size_t>(m)], x.part(m * rows * features, {rows, features})), "evaluation");
}

Models made(std::size_t count, const std::function<std::unique_ptr<Module>(std::uint64_t)>& make) {
  Models models;
  for (std::size_t i = 0; i < count; ++i) models.push_back(make(i));
  return models;
}

TEST(Stack, OfMlpsIsItsMembersSideBySide) {
  for (const std::int64_t experts : {1, 2, 3})
    for (const std::size_t k : {std::size_t{1}, std::size_t{2}, std::size_t{5}})
      expect_members_side_by_side(made(k,
                                       [&](std::uint64_t i) {
                                         return make_mlp(cpu(), {7, 5, 10, experts, 2}, RandomStream(i, "test"), DType::f64);
                                       }),
                                  7, false);
}

TEST(Stack, OfVgg19AndItsMixtureIsItsMembersSideBySide) {
  for (const std::int64_t experts : {1, 2})
    for (const std::size_t k : {std::size_t{2}, std::size_t{4}})
      expect_members_side_by_side(made(k,
                                       [&](std::uint64_t i) {
                                         return make_vgg19(cpu(), {3, 2, 10, experts}, RandomStream(i, "test"), DType::f64);
                                       }),
                                  3 * 32 * 32, true);
}

TEST(Stack, OfUniformMixturesIsItsMembersSideBySide) {
  expect_members_side_by_side(made(2,
                                   [&](std::uint64_t i) {
                                     Models parts;
                                     for (const char* part : {"a", "b"})
                                       parts.push_back(make_mlp(cpu(), {7, 5, 10, 1, 2}, RandomStream(i, part), DType::f64));
                                     return std::make_unique<UniformMixture>(std::move(parts), false);
                                   }),
                              7, false);
}

TEST(Stack, RefusesMembersThatAreNotAlike) {
  const auto a = make_mlp(cpu(), {7, 5, 10, 1, 2}, RandomStream(0, "test")),
             b = make_mlp(cpu(), {7, 4, 10, 1, 2}, RandomStream(0, "test")),
             c = make_mlp(cpu(), {7, 5, 10, 2, 2}, RandomStream(0, "test"));
  expect_error([&] { Stack(std::vector<Module*>{a.get(), b.get()}); }, {"[stack]", "hidden.0.weight", "[4, 7]", "[5, 7]"});
  expect_error([&] { Stack(std::vector<Module*>{a.get(), c.get()}); }, {"[stack]", "14 tensors", "one of 6"});
  expect_error([] { Stack(std::vector<Module*>{}); }, {"[stack]", "no modules"});
}

}  // namespace
}  // namespace alma::test
