#include "models/umix.h"

#include "tests/engine/gradient_check.h"
#include "tests/engine/passes.h"

namespace alma::test {
namespace {

std::unique_ptr<UniformMixture> three_members(bool average) {
  RandomStream init(1, "test");
  std::vector<std::unique_ptr<Module>> members;
  for (int k = 0; k < 3; ++k) members.push_back(std::make_unique<Linear>(cpu(), 5, 4, false, init, DType::f64));
  return std::make_unique<UniformMixture>(std::move(members), average);
}

TEST(UMix, AddsOrAveragesTheLogitsOfItsMembers) {
  const auto sum = three_members(false), mean = three_members(true);
  const Tensor x = random_tensor({6, 5}, 2);
  // The members once more, by hand.
  std::vector<double> expected(24);
  const auto parameters = named_parameters(*sum);
  ASSERT_EQ(parameters.size(), 6u);
  EXPECT_EQ(parameters[5].first, "member.2.bias");
  const auto in = x.to_vector<double>();
  for (std::size_t k = 0; k < 3; ++k) {
    const auto w = parameters[2 * k].second.to_vector<double>(), b = parameters[2 * k + 1].second.to_vector<double>();
    for (std::size_t i = 0; i < 6; ++i)
      for (std::size_t j = 0; j < 4; ++j) {
        expected[i * 4 + j] += b[j];
        for (std::size_t m = 0; m < 5; ++m) expected[i * 4 + j] += in[i * 5 + m] * w[j * 5 + m];
      }
  }
  const auto a = evaluated(*sum, x).to_vector<double>(), b = evaluated(*mean, x).to_vector<double>();
  for (std::size_t i = 0; i < 24; ++i) {
    EXPECT_NEAR(a[i], expected[i], 1e-14);
    EXPECT_NEAR(b[i], expected[i] / 3, 1e-14);
  }
}

TEST(UMix, HasTheRightGradientForAllMembers) {
  for (const bool average : {false, true}) {
    const auto model = three_members(average);
    std::vector<Tensor> inputs{random_tensor({6, 5}, 3)};
    for (auto& [name, parameter] : named_parameters(*model)) inputs.push_back(parameter);
    expect_gradient([&](const auto& in) { return evaluated(*model, in[0]); }, inputs);
  }
}

TEST(UMix, ClonesToTheSameFunctionAndNeedsMembers) {
  const auto model = three_members(true);
  const Tensor x = random_tensor({2, 5}, 4);
  EXPECT_EQ(evaluated(*model->clone(cpu()), x).to_vector<double>(), evaluated(*model, x).to_vector<double>());
  expect_error([] { UniformMixture({}, false); }, {"[umix] no members"});
}

}  // namespace
}  // namespace alma::test
