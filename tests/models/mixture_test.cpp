#include "models/mixture.h"

#include <cmath>
#include <map>

#include "tests/engine/gradient_check.h"
#include "tests/engine/passes.h"

namespace alma::test {
namespace {

std::unique_ptr<Linear> layer(std::int64_t in, std::int64_t out, bool relu, RandomStream& init) {
  return std::make_unique<Linear>(cpu(), in, out, relu, init, DType::f64);
}

std::unique_ptr<Mixture> mixture(std::vector<std::unique_ptr<Module>> experts, RandomStream& init) {
  const auto count = static_cast<std::int64_t>(experts.size());
  return std::make_unique<Mixture>(layer(5, count, false, init), std::move(experts));
}

TEST(Mixture, OfEqualExpertsIsThatExpert) {
  RandomStream init(1, "test");
  const auto expert = layer(5, 3, true, init);
  std::vector<std::unique_ptr<Module>> copies;
  copies.push_back(expert->clone(cpu()));
  copies.push_back(expert->clone(cpu()));
  const auto both = mixture(std::move(copies), init);
  const Tensor x = random_tensor({4, 5}, 2);
  const auto a = evaluated(*both, x).to_vector<double>(), b = evaluated(*expert, x).to_vector<double>();
  // The scores of a softmax add up to 1 within a rounding or two: this is what makes growth by copies preserve the function.
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-15);
}

TEST(Mixture, NestsToATreeWithTheRightGradient) {
  RandomStream init(2, "test");
  std::vector<std::unique_ptr<Module>> leaves, children;
  leaves.push_back(layer(5, 3, true, init));
  leaves.push_back(layer(5, 3, true, init));
  children.push_back(layer(5, 3, true, init));
  children.push_back(mixture(std::move(leaves), init));
  const auto tree = mixture(std::move(children), init);
  const auto parameters = named_parameters(*tree);
  EXPECT_EQ(parameters.size(), 10u);
  EXPECT_EQ(parameters.back().first, "expert.1.expert.1.bias");
  std::vector<Tensor> inputs{random_tensor({4, 5}, 3)};
  for (auto& [name, parameter] : parameters) inputs.push_back(parameter);
  expect_gradient([&](const auto& in) { return evaluated(*tree, in[0]); }, inputs);
  const auto copy = tree->clone(cpu());
  EXPECT_EQ(evaluated(*copy, inputs[0]).to_vector<double>(), evaluated(*tree, inputs[0]).to_vector<double>());
}

TEST(Mixture, TellsAPassThatAsksHowItUsesItsExperts) {
  RandomStream init(4, "test");
  std::vector<std::unique_ptr<Module>> leaves, children;
  for (int k = 0; k < 3; ++k) leaves.push_back(layer(5, 3, true, init));
  children.push_back(mixture(std::move(leaves), init));
  children.push_back(layer(5, 3, true, init));
  const Module* inner = children[0].get();
  const auto tree = mixture(std::move(children), init);
  const Tensor x = random_tensor({4, 5}, 3);
  Pass silent, asked{.wants_usage = true};
  EXPECT_EQ(tree->forward(x, asked).to_vector<double>(), tree->forward(x, silent).to_vector<double>());
  EXPECT_TRUE(silent.usage.empty());
  ASSERT_EQ(asked.usage.size(), 2u);
  EXPECT_EQ(asked.usage[0].layer, inner);
  EXPECT_EQ(asked.usage[1].layer, tree.get());
  // The softmax of each gate, by hand.
  std::map<std::string, std::vector<double>> state;
  for (const auto& [name, tensor] : named_state(*tree)) state[name] = tensor.to_vector<double>();
  const auto rows = x.to_vector<double>();
  for (const auto& [used, gate] : {std::pair{asked.usage[0], "expert.0.gate."}, std::pair{asked.usage[1], "gate."}}) {
    const auto& weight = state.at(std::string(gate) + "weight");
    const auto& bias = state.at(std::string(gate) + "bias");
    ASSERT_EQ(used.scores.shape(), (Shape{4, static_cast<std::int64_t>(bias.size())}));
    EXPECT_FALSE(used.scores.requires_grad());
    const auto scores = used.scores.to_vector<double>();
    for (std::size_t row = 0; row < 4; ++row) {
      std::vector<double> e;
      double sum = 0;
      for (std::size_t k = 0; k < bias.size(); ++k) {
        double logit = bias[k];
        for (std::size_t i = 0; i < 5; ++i) logit += weight[k * 5 + i] * rows[row * 5 + i];
        e.push_back(std::exp(logit));
        sum += e.back();
      }
      for (std::size_t k = 0; k < e.size(); ++k) EXPECT_NEAR(scores[row * e.size() + k], e[k] / sum, 1e-15);
    }
  }
}

TEST(Mixture, TakesOneToSixteenExperts) {
  RandomStream init(3, "test");
  const auto of = [&](std::size_t count) {
    std::vector<std::unique_ptr<Module>> experts;
    for (std::size_t k = 0; k < count; ++k) experts.push_back(layer(5, 3, true, init));
    return std::make_unique<Mixture>(layer(5, 2, false, init), std::move(experts));
  };
  expect_error([&] { of(0); }, {"[mixture] 1 to 16 experts, got 0"});
  expect_error([&] { of(17); }, {"[mixture] 1 to 16 experts, got 17"});
  of(1);
  of(16);
}

}  // namespace
}  // namespace alma::test
