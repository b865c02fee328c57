#include "engine/nn.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "engine/ops_elementwise.h"
#include "tests/engine/gradient_check.h"
#include "tests/engine/passes.h"

namespace alma::test {
namespace {

Function through(Module& module) {
  // Parameters are inputs of the check too: they share memory with what the check moves.
  return [&module](const std::vector<Tensor>& in) { return trained(module, in[0]); };
}

TEST(Linear, StartsAsInPyTorch) {
  RandomStream init(0, "test");
  Linear layer(cpu(), 784, 256, false, init, DType::f64);
  const auto parameters = named_parameters(layer);
  ASSERT_EQ(parameters.size(), 2u);
  EXPECT_EQ(parameters[0].first, "weight");
  EXPECT_EQ(parameters[0].second.shape(), (Shape{256, 784}));
  EXPECT_EQ(parameters[1].second.shape(), (Shape{256}));
  // Uniform in +-1/sqrt(784) = +-1/28: mean 0, variance bound^2 / 3. x^2 / (bound^2 / 3) has the mean 1 and
  // the variance 0.8.
  const double bound = 1.0 / 28;
  for (const auto& [name, parameter] : parameters) {
    const auto v = parameter.to_vector<double>();
    double square = 0;
    for (double x : v) square += x * x / static_cast<double>(v.size());
    const auto [low, high] = std::minmax_element(v.begin(), v.end());
    EXPECT_GE(*low, -bound);
    EXPECT_LE(*high, bound);
    EXPECT_GT(*high, 0.97 * bound);
    EXPECT_LT(*low, -0.97 * bound);
    EXPECT_NEAR(square / (bound * bound / 3), 1, 5 * std::sqrt(0.8 / static_cast<double>(v.size()))) << "5 deviations";
  }
}

TEST(Linear, HasTheRightGradientForInputAndParameters) {
  RandomStream init(1, "test");
  Linear layer(cpu(), 5, 3, false, init, DType::f64);
  std::vector<Tensor> inputs{random_tensor({4, 5}, 1)};
  for (auto& [name, parameter] : named_parameters(layer)) inputs.push_back(parameter);
  expect_gradient(through(layer), inputs);
}

// A copy in the same context is the device's work; it goes by way of the host to another one alone.
TEST(Module, IsClonedWithinAContextWithoutTheHost) {
  Profiler profiler;
  Context context("cpu", 1, {&profiler, "here"}), other("cpu", 1, {&profiler, "there"});
  RandomStream init(2, "test");
  Sequential model;
  model.add("a", std::make_unique<Linear>(context, 4, 3, true, init));
  model.add("b", std::make_unique<Linear>(context, 3, 2, false, init));
  const auto calls = [&](std::size_t lane) {
    std::map<std::string_view, std::int64_t> all{{"copy", 0}, {"download", 0}, {"upload", 0}};
    const Profile profile = profiler.snapshot();
    for (const auto& [name, row] : profile.lanes.at(lane).primitives) all[name] = row.calls;
    return all;
  };
  const auto before = calls(0);
  const std::unique_ptr<Module> copy = model.clone(context);
  const auto after = calls(0);
  EXPECT_EQ(after.at("copy"), before.at("copy") + 4);
  EXPECT_EQ(after.at("download"), before.at("download"));
  EXPECT_EQ(after.at("upload"), before.at("upload"));
  const auto originals = named_parameters(model), copies = named_parameters(*copy);
  ASSERT_EQ(copies.size(), 4u);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_NE(copies[i].second.in().data, originals[i].second.in().data);
    EXPECT_EQ(copies[i].second.to_vector<float>(), originals[i].second.to_vector<float>());
  }
  const std::int64_t downloads = calls(0).at("download");
  const std::unique_ptr<Module> abroad = model.clone(other);
  EXPECT_EQ(calls(0).at("download"), downloads + 4);
  EXPECT_EQ(calls(1).at("upload"), 4);
}

TEST(Sequential, NamesChainAndClonesAreApart) {
  RandomStream init(2, "test");
  Sequential model;
  model.add("a", std::make_unique<Linear>(cpu(), 4, 3, true, init, DType::f64));
  model.add("b", std::make_unique<Linear>(cpu(), 3, 2, false, init, DType::f64));
  const auto parameters = named_parameters(model);
  ASSERT_EQ(parameters.size(), 4u);
  EXPECT_EQ(parameters[0].first, "a.weight");
  EXPECT_EQ(parameters[3].first, "b.bias");
  EXPECT_EQ(count_parameters(model), 4 * 3 + 3 + 3 * 2 + 2);

  const Tensor x = random_tensor({2, 4}, 3);
  const auto copy = model.clone(cpu());
  EXPECT_EQ(trained(*copy, x).to_vector<double>(), trained(model, x).to_vector<double>());
  EXPECT_TRUE(trained(*copy, x).requires_grad());
  parameters[0].second.fill(0);
  EXPECT_NE(trained(*copy, x).to_vector<double>(), trained(model, x).to_vector<double>());
  copy_tensors(named_parameters(model), named_parameters(*copy));
  EXPECT_EQ(trained(*copy, x).to_vector<double>(), trained(model, x).to_vector<double>());
}

TEST(Nn, ListsThatDoNotFitAreRefused) {
  RandomStream init(3, "test");
  Linear a(cpu(), 4, 3, true, init), b(cpu(), 4, 2, true, init);
  expect_error([&] { copy_tensors(named_parameters(a), named_parameters(b)); }, {"[copy_from]"});
  expect_error([&] { copy_tensors(named_parameters(a), {}); }, {"[copy_tensors]", "2 tensors", "0"});
  expect_error([&] { Linear(cpu(), 0, 3, true, init); }, {"[linear]", "in = 0"});
}

}  // namespace
}  // namespace alma::test
