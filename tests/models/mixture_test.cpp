#include "models/mixture.h"

#include <cmath>

#include "tests/engine/gradient_check.h"

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
  const auto a = both->forward(x).to_vector<double>(), b = expert->forward(x).to_vector<double>();
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
  expect_gradient([&](const auto& in) { return tree->forward(in[0]); }, inputs);
  const auto copy = tree->clone(cpu());
  EXPECT_EQ(copy->forward(inputs[0]).to_vector<double>(), tree->forward(inputs[0]).to_vector<double>());
}

TEST(Mixture, NeedsExperts) {
  RandomStream init(3, "test");
  expect_error([&] { mixture({}, init); }, {"out = 0"});
}

}  // namespace
}  // namespace alma::test
