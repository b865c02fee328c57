// Five training steps of the 2-expert mixture MLP against PyTorch (tests/golden/training.py), on every device.
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/ops_loss.h"
#include "engine/optim.h"
#include "models/mlp.h"
#include "tests/engine/gradient_check.h"
#include "tests/engine/passes.h"
#include "tests/simulator.h"

namespace alma::test {
namespace {

template <class T>
std::vector<T> wave(std::int64_t count, double phase, double scale = 1) {
  std::vector<T> values(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<T>(scale * std::sin(0.7 * static_cast<double>(i) + phase));
  return values;
}

double worst(const std::vector<double>& expected, const std::vector<double>& found) {
  double error = expected.size() == found.size() ? 0 : INFINITY;
  for (std::size_t i = 0; i < expected.size() && i < found.size(); ++i)
    error = std::max(error, std::abs(expected[i] - found[i]));
  return error;
}

template <class T>
std::vector<double> doubles(const Tensor& tensor) {
  const auto v = tensor.to_vector<T>();
  return {v.begin(), v.end()};
}

template <class T>
void follow(Context& context, double allowed) {
  const auto golden = nlohmann::json::parse(std::ifstream(ALMA_SOURCE_DIR "/tests/golden/training.json"))["mixture_mlp"];
  const auto model = make_mlp(context, {6, 4, 3, 2, 2}, RandomStream(0, "unused"), dtype_of<T>());
  const auto parameters = named_parameters(*model);
  ASSERT_EQ(parameters.size(), golden["weights"].size());
  for (std::size_t i = 0; i < parameters.size(); ++i)
    parameters[i].second.assign(std::span<const T>(wave<T>(parameters[i].second.count(), static_cast<double>(i), 0.5)));
  Optimizer optimizer(parameters, AdadeltaRule{}, 1.0);
  for (int t = 0; t < 5; ++t) {
    std::vector<std::int32_t> labels(8);
    for (int i = 0; i < 8; ++i) labels[static_cast<std::size_t>(i)] = (i + t) % 3;
    const Tensor x = Tensor::from(context, {8, 6}, wave<T>(48, 0.2 * t));
    const Tensor loss = softmax_cross_entropy(trained(*model, x), Tensor::from(context, {8}, labels));
    EXPECT_NEAR(loss.item(), golden["losses"][static_cast<std::size_t>(t)].get<double>(), allowed) << "step " << t;
    loss.backward();
    for (const auto& [name, parameter] : parameters) {
      if (t > 0) continue;
      EXPECT_LE(worst(golden["first_gradients"][name], doubles<T>(parameter.grad())), allowed) << name;
    }
    optimizer.step();
  }
  for (const auto& [name, parameter] : parameters)
    EXPECT_LE(worst(golden["weights"][name], doubles<T>(parameter)), allowed) << name;
}

TEST(Golden, FiveStepsOfTheMixtureMlpInF64) { follow<double>(cpu(), tolerance::golden_f64); }
TEST(Golden, FiveStepsOfTheMixtureMlpInF32) { follow<float>(cpu(), tolerance::golden_f32); }
TEST(Golden, FiveStepsOfTheMixtureMlpInTheSimulator) {
  const auto sim = open_simulator();
  if (!sim) GTEST_SKIP() << no_simulator;
  follow<float>(*sim, tolerance::golden_f32);
}

}  // namespace
}  // namespace alma::test
