#include "models/mlp.h"

#include "engine/ops_loss.h"
#include "tests/engine/gradient_check.h"
#include "tests/engine/passes.h"

namespace alma::test {
namespace {

Count forward_macs(Module& model, std::int64_t inputs, std::int64_t rows) {
  CostScope scope(cpu());
  evaluated(model, Tensor::zeros(cpu(), {rows, inputs}, DType::f32));
  return scope.cost().macs;
}

// The paper's MNIST networks: parameters 2h^2 + 1584h + 1582 with two experts (Fig. 2 and 4, exact), h^2 + 796h + 10 plain.
TEST(Mlp, HasThePapersParametersToTheUnit) {
  const std::pair<std::int64_t, std::int64_t> mixtures[] = {
      {4, 7'950}, {16, 27'438}, {64, 111'150}, {128, 237'102}, {256, 538'158}};
  for (const auto& [h, expected] : mixtures)
    EXPECT_EQ(count_parameters(*make_mlp(cpu(), {784, h, 10, 2, 2}, RandomStream(0, "test"))), expected) << "h = " << h;
  EXPECT_EQ(count_parameters(*make_mlp(cpu(), {784, 4, 10, 1, 2}, RandomStream(0, "test"))), 3'210);
}

TEST(Mlp, HasThePapersMacsToTheUnit) {
  const auto mixture = make_mlp(cpu(), {784, 4, 10, 2, 2}, RandomStream(0, "test"));
  EXPECT_EQ(static_cast<std::uint64_t>(forward_macs(*mixture, 784, 1)), 7'920u);
  EXPECT_EQ(static_cast<std::uint64_t>(forward_macs(*mixture, 784, 128)), 128u * 7'920u);
  const auto plain = make_mlp(cpu(), {784, 4, 10, 1, 2}, RandomStream(0, "test"));
  EXPECT_EQ(static_cast<std::uint64_t>(forward_macs(*plain, 784, 1)), 784u * 4 + 4 * 4 + 4 * 10);
}

TEST(Mlp, TheSameStreamGivesTheSameWeights) {
  const auto weights = [](std::uint64_t seed) {
    return named_parameters(*make_mlp(cpu(), {20, 4, 3, 2, 2}, RandomStream(seed, "test")))[3].second.to_vector<float>();
  };
  EXPECT_EQ(weights(1), weights(1));
  EXPECT_NE(weights(1), weights(2));
}

TEST(Mlp, HasTheRightGradientForAllParameters) {
  for (const std::int64_t experts : {1, 2, 3}) {
    const auto model = make_mlp(cpu(), {5, 4, 3, experts, 2}, RandomStream(3, "test"), DType::f64);
    const Tensor labels = Tensor::from(cpu(), {6}, std::vector<std::int32_t>{2, 0, 1, 1, 0, 2});
    std::vector<Tensor> inputs{random_tensor({6, 5}, 4)};
    for (auto& [name, parameter] : named_parameters(*model)) inputs.push_back(parameter);
    expect_gradient([&](const auto& in) { return softmax_cross_entropy(trained(*model, in[0]), labels); }, inputs);
  }
}

TEST(Mlp, RefusesSettingsWithoutSense) {
  expect_error([] { make_mlp(cpu(), {784, 4, 10, 0, 2}, RandomStream(0, "test")); }, {"[mlp]", "experts >= 1"});
  expect_error([] { make_mlp(cpu(), {784, 0, 10, 1, 2}, RandomStream(0, "test")); }, {"[linear]", "out = 0"});
}

}  // namespace
}  // namespace alma::test
