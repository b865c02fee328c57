#include "engine/nn_images.h"

#include <cmath>

#include "engine/ops_conv.h"
#include "tests/engine/gradient_check.h"
#include "tests/engine/passes.h"

namespace alma::test {
namespace {

/// A layer whose tensors are all different from each other and from where they start.
std::unique_ptr<BatchNorm2d> norm(std::int64_t channels, bool relu, DType dtype = DType::f64) {
  auto layer = std::make_unique<BatchNorm2d>(cpu(), channels, relu, dtype);
  double phase = 1;
  for (const auto& [name, tensor] : named_state(*layer)) {
    std::vector<double> values;
    for (std::int64_t c = 0; c < channels; ++c) values.push_back(1 + 0.6 * std::sin(phase + 2.3 * static_cast<double>(c)));
    if (dtype == DType::f64)
      tensor.assign(std::span<const double>(values));
    else
      tensor.assign(std::span<const float>(std::vector<float>(values.begin(), values.end())));
    phase *= 1.7;
  }
  return layer;
}

std::vector<std::vector<double>> statistics(Module& layer) {
  std::vector<std::vector<double>> all;
  for (const auto& [name, tensor] : named_state(layer))
    if (!tensor.requires_grad()) all.push_back(tensor.to_vector<double>());
  return all;
}

// Whether the tape records and what a pass is for are two things: all four pairs of them.
TEST(BatchNorm2d, DoesWhatThePassIsForWhetherTheTapeRecordsOrNot) {
  const Tensor x = random_tensor({4, 3, 2, 2}, 1);
  const auto recorded = norm(3, false), unrecorded = norm(3, false);
  const auto before = statistics(*recorded);
  const auto in_training = trained(*recorded, x).to_vector<double>();
  const auto after = statistics(*recorded);
  EXPECT_NE(after, before);
  {
    const NoGrad off;
    EXPECT_EQ(trained(*unrecorded, x).to_vector<double>(), in_training);
  }
  EXPECT_EQ(statistics(*unrecorded), after) << "training updates them, recorded or not";
  const auto in_evaluation = evaluated(*recorded, x).to_vector<double>();
  EXPECT_NE(in_evaluation, in_training);
  {
    const NoGrad off;
    EXPECT_EQ(evaluated(*unrecorded, x).to_vector<double>(), in_evaluation);
  }
  EXPECT_EQ(statistics(*recorded), after) << "an evaluation leaves them alone";
  EXPECT_EQ(statistics(*unrecorded), after);
}

TEST(BatchNorm2d, HasTheRightGradientInBothPurposes) {
  for (const bool relu : {false, true})
    for (const Purpose purpose : {Purpose::training, Purpose::evaluation}) {
      const auto layer = norm(3, relu);
      std::vector<Tensor> inputs{random_tensor({4, 3, 2, 2}, 1, -2, 2)};
      for (const auto& [name, parameter] : named_parameters(*layer)) inputs.push_back(parameter);
      expect_gradient(
          [&](const auto& in) {
            Pass pass{.purpose = purpose};
            return layer->forward(in[0], pass);
          },
          inputs);
    }
}

TEST(BatchNorm2d, AnEvaluationGivesEachInputItsGradientWithoutTheOthers) {
  const auto layer = norm(3, true);
  const Tensor input = random_tensor({4, 3, 2, 2}, 1, -2, 2), cotangent = random_tensor({4, 3, 2, 2}, 2);
  const auto parameters = named_parameters(*layer);
  const auto gradients = [&](bool of_x, bool of_parameters) {
    Tensor x = input.clone();
    if (of_x) x.set_requires_grad(true);
    for (const auto& [name, parameter] : parameters) {
      Tensor leaf = parameter;
      leaf.set_requires_grad(of_parameters);
      leaf.clear_grad();
    }
    evaluated(*layer, x).backward(cotangent);
    std::vector<std::vector<double>> all;
    for (const Tensor& leaf : {x, parameters[0].second, parameters[1].second})
      all.push_back(leaf.grad().defined() ? leaf.grad().template to_vector<double>() : std::vector<double>());
    return all;
  };
  const auto all = gradients(true, true), of_x = gradients(true, false), of_parameters = gradients(false, true);
  EXPECT_EQ(of_x, (std::vector<std::vector<double>>{all[0], {}, {}}));
  EXPECT_EQ(of_parameters, (std::vector<std::vector<double>>{{}, all[1], all[2]}));
}

// The layout that the cpu prefers for images, with spare lanes (19 of 32) and a halo.
TEST(BatchNorm2d, AnEvaluationHasTheSameGradientInLanes) {
  const auto layer = norm(3, true, DType::f32);
  std::vector<float> values, weights;
  for (int i = 0; i < 19 * 3 * 5 * 4; ++i) {
    values.push_back(2 * std::sin(0.7f * static_cast<float>(i)));
    weights.push_back(std::cos(1.3f * static_cast<float>(i)));
  }
  const Shape shape{19, 3, 5, 4};
  const auto gradients = [&](Layout layout) {
    Tensor x = Tensor::from(cpu(), shape, values);
    x.set_requires_grad(true);
    for (const auto& [name, parameter] : named_parameters(*layer)) parameter.clear_grad();
    to_layout(evaluated(*layer, to_layout(x, layout)), Layout::row_major).backward(Tensor::from(cpu(), shape, weights));
    std::vector<std::vector<float>> all{x.grad().to_vector<float>()};
    for (const auto& [name, parameter] : named_parameters(*layer)) all.push_back(parameter.grad().to_vector<float>());
    return all;
  };
  const auto rows = gradients(Layout::row_major), lanes = gradients(Layout::lanes16);
  for (std::size_t k = 0; k < rows.size(); ++k)
    for (std::size_t i = 0; i < rows[k].size(); ++i)
      EXPECT_NEAR(lanes[k][i], rows[k][i], 1e-5 * std::max(1.0f, std::abs(rows[k][i])))
          << "input " << k << ", element " << i;
}

}  // namespace
}  // namespace alma::test
