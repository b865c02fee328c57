// Mixtures with hard gates: each row goes to one expert, and costs no more than that.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <numeric>

#include "engine/ops_elementwise.h"
#include "engine/ops_loss.h"
#include "models/mixture.h"
#include "models/mlp.h"
#include "models/vgg.h"
#include "tests/engine/gradient_check.h"
#include "tests/engine/passes.h"
#include "tests/simulator.h"

namespace alma::test {
namespace {

constexpr std::size_t kIn = 5, kOut = 3, kRows = 9;

std::unique_ptr<Linear> layer(std::int64_t in, std::int64_t out, bool relu, RandomStream& init) {
  return std::make_unique<Linear>(cpu(), in, out, relu, init, DType::f64);
}

// Three experts, of which the second is split into two, and the first of these into three: 0, 1, 2, then 3 beside 1, then 4
// and 5 beside 1. No two parameters are alike.
std::unique_ptr<Mixture> grown() {
  RandomStream init(5, "test");
  std::vector<std::unique_ptr<Module>> experts;
  for (int k = 0; k < 3; ++k) experts.push_back(layer(kIn, kOut, true, init));
  auto tree = std::make_unique<Mixture>(layer(kIn, 2, false, init), std::move(experts), Gating::hard);
  tree->split(1, 2, init);
  tree->split(1, 3, init);
  for (auto& [name, parameter] : named_parameters(*tree)) {
    auto values = parameter.to_vector<double>();
    for (double& value : values) value += init.uniform(-0.6, 0.6);
    parameter.assign(std::span<const double>(values));
  }
  return tree;
}

using State = std::map<std::string, std::vector<double>>;

State state_of(Module& module) {
  State state;
  for (const auto& [name, tensor] : named_state(module)) state[name] = tensor.to_vector<double>();
  return state;
}

std::vector<double> linear(const State& state, const std::string& name, const double* x) {
  const auto &weight = state.at(name + ".weight"), &bias = state.at(name + ".bias");
  std::vector<double> y = bias;
  for (std::size_t o = 0; o < y.size(); ++o)
    for (std::size_t i = 0; i < kIn; ++i) y[o] += weight[o * kIn + i] * x[i];
  return y;
}

/// The scores of a gate's branches.
std::vector<double> scores(const State& state, const std::string& gate, const double* x) {
  std::vector<double> s{1};
  for (const double z : linear(state, gate, x)) s.push_back(std::exp(z));
  const double sum = std::accumulate(s.begin(), s.end(), 0.0);
  for (double& value : s) value /= sum;
  return s;
}

/// The gates on the way of a row, the branches taken, and the expert.
struct Way {
  std::vector<std::pair<std::string, std::size_t>> gates;
  std::size_t expert = 0;
};

Way way_of(const State& state, const double* x) {
  Way way;
  const auto take = [&](const std::string& gate) {
    const auto s = scores(state, gate, x);
    const auto branch = static_cast<std::size_t>(std::max_element(s.begin(), s.end()) - s.begin());
    way.gates.emplace_back(gate, branch);
    return branch;
  };
  way.expert = take("gate");
  if (way.expert != 1) return way;
  if (take("split.0.gate") == 1) {
    way.expert = 3;
  } else if (const std::size_t branch = take("split.1.gate"); branch > 0) {
    way.expert = 3 + branch;
  }
  return way;
}

std::vector<double> expert_output(const State& state, std::size_t expert, const double* x) {
  auto y = linear(state, "expert." + std::to_string(expert), x);
  for (double& value : y) value = std::max(0.0, value);
  return y;
}

TEST(HardMixture, SendsEachRowToOneExpert) {
  const auto tree = grown();
  const State state = state_of(*tree);
  const Tensor x = random_tensor({kRows, kIn}, 3, -2, 2);
  const auto rows = x.to_vector<double>();
  Pass pass{.wants_usage = true};
  const auto y = tree->forward(x, pass).to_vector<double>();
  ASSERT_EQ(pass.usage.size(), 1u);
  ASSERT_EQ(pass.usage[0].scores.shape(), (Shape{kRows, 6}));
  const auto weights = pass.usage[0].scores.to_vector<float>();
  std::vector<int> visits(6);
  for (std::size_t r = 0; r < kRows; ++r) {
    const double* row = rows.data() + r * kIn;
    const Way way = way_of(state, row);
    ++visits[way.expert];
    const auto expected = expert_output(state, way.expert, row);
    for (std::size_t o = 0; o < kOut; ++o) EXPECT_NEAR(y[r * kOut + o], expected[o], 1e-14) << r;
    for (std::size_t k = 0; k < 6; ++k) EXPECT_EQ(weights[r * 6 + k], k == way.expert ? 1 : 0) << r << ", " << k;
  }
  EXPECT_GE(std::count_if(visits.begin(), visits.end(), [](int n) { return n > 0; }), 4)
      << "rows of one kind alone prove little";
  // In training, where gates have a gradient, the output is the same.
  EXPECT_EQ(trained(*tree, x).to_vector<double>(), y);
}

// What the tape computes is the gradient of expert(x) (1 + s - c) ..., a factor for each gate on the way, where c is a
// constant with the value of s: by differences of that function in plain loops.
TEST(HardMixture, GatesLearnStraightThrough) {
  const auto tree = grown();
  const State base = state_of(*tree);
  const Tensor x = random_tensor({kRows, kIn}, 3, -2, 2), cotangent = random_tensor({kRows, kOut}, 4);
  const auto rows = x.to_vector<double>(), weights = cotangent.to_vector<double>();
  const auto value = [&](const State& state) {
    double sum = 0;
    for (std::size_t r = 0; r < kRows; ++r) {
      const double* row = rows.data() + r * kIn;
      const Way way = way_of(base, row);
      double factor = 1;
      for (const auto& [gate, branch] : way.gates)
        factor *= 1 + scores(state, gate, row)[branch] - scores(base, gate, row)[branch];
      const auto y = expert_output(state, way.expert, row);
      for (std::size_t o = 0; o < kOut; ++o) sum += weights[r * kOut + o] * y[o] * factor;
    }
    return sum;
  };
  (trained(*tree, x) * cotangent).backward_of_sum();
  double largest_of_gates = 0;
  for (const auto& [name, parameter] : named_parameters(*tree)) {
    const auto found = parameter.grad().defined() ? parameter.grad().to_vector<double>()
                                                  : std::vector<double>(static_cast<std::size_t>(parameter.count()));
    for (std::size_t i = 0; i < found.size(); ++i) {
      State up = base, down = base;
      up[name][i] += 1e-6, down[name][i] -= 1e-6;
      EXPECT_NEAR(found[i], (value(up) - value(down)) / 2e-6, 1e-7) << name << ", " << i;
      if (name.find("gate") != std::string::npos) largest_of_gates = std::max(largest_of_gates, std::abs(found[i]));
    }
  }
  EXPECT_GT(largest_of_gates, 0.01);
}

TEST(HardMixture, PassesTheGradientOnToItsInput) {
  const auto tree = grown();
  const Tensor x = random_tensor({kRows, kIn}, 3, -2, 2);
  Tensor leaf = x.clone(cpu()).set_requires_grad(true);
  trained(*tree, leaf).backward_of_sum();
  const auto found = leaf.grad().to_vector<double>();
  // Through the expert and the gates alike: by differences of the same function.
  const State base = state_of(*tree);
  const auto rows = x.to_vector<double>();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const double* row = rows.data() + i / kIn * kIn;
    const Way way = way_of(base, row);
    const auto value = [&](double change) {
      std::vector<double> moved(row, row + kIn);
      moved[i % kIn] += change;
      double factor = 1;
      for (const auto& [gate, branch] : way.gates)
        factor *= 1 + scores(base, gate, moved.data())[branch] - scores(base, gate, row)[branch];
      const auto y = expert_output(base, way.expert, moved.data());
      return factor * std::accumulate(y.begin(), y.end(), 0.0);
    };
    EXPECT_NEAR(found[i], (value(1e-6) - value(-1e-6)) / 2e-6, 1e-7) << i;
  }
}

std::vector<float> worked_out(Context& context, Module& model, const Tensor& x) {
  return evaluated(model, in_f32(x, context)).to_vector<float>();
}

// Splits nested four deep in every mixture.
void expect_splits_preserve_the_function(Context& context, Module& model, const Tensor& x) {
  RandomStream init(8, "test");
  const auto before = worked_out(context, model, x);
  const auto largest = static_cast<double>(
      std::abs(*std::max_element(before.begin(), before.end(), [](float a, float b) { return std::abs(a) < std::abs(b); })));
  for (int depth = 0; depth < 4; ++depth) {
    for (Mixture* mixture : mixtures_of(model)) mixture->split(depth == 0 ? 0 : mixture->experts() - 1, 2, init);
    const auto after = worked_out(context, model, x);
    for (std::size_t i = 0; i < before.size(); ++i) ASSERT_NEAR(after[i], before[i], 1e-6 * largest) << depth << ", " << i;
  }
}

void expect_splits_preserve_functions(Context& context) {
  const auto mlp = make_mlp(context, {12, 16, 10, 2, 2, Gating::hard}, RandomStream(1, "test"));
  expect_splits_preserve_the_function(context, *mlp, random_tensor({9, 12}, 2));
  const auto vgg = make_vgg19(context, {3, 4, 10, 2, Gating::hard}, RandomStream(1, "test"));
  expect_splits_preserve_the_function(context, *vgg, random_tensor({3, 3 * 32 * 32}, 3));
}

TEST(HardMixture, ASplitChangesNoOutput) { expect_splits_preserve_functions(cpu()); }
TEST(HardMixture, ASplitChangesNoOutputInTheSimulator) {
  const auto sim = open_simulator();
  if (!sim) GTEST_SKIP() << no_simulator;
  expect_splits_preserve_functions(*sim);
}

// Images in a layout of their own, in parts: as one image after the other.
TEST(HardMixture, ImagesGoEachToItsExpert) {
  const auto vgg = make_vgg19(cpu(), {3, 4, 10, 3, Gating::hard}, RandomStream(1, "test"));
  RandomStream init(2, "test");
  for (Mixture* mixture : mixtures_of(*vgg)) mixture->split(1, 2, init);
  for (auto& [name, parameter] : named_parameters(*vgg)) {
    auto values = parameter.to_vector<float>();
    for (float& value : values) value += static_cast<float>(init.uniform(-0.1, 0.1));
    parameter.assign(std::span<const float>(values));
  }
  const Tensor x = random_tensor({20, 3 * 32 * 32}, 3);
  const auto all = worked_out(cpu(), *vgg, x);
  const auto rows = x.to_vector<double>();
  for (std::size_t i = 0; i < 20; ++i) {
    const std::vector<double> row(rows.begin() + static_cast<std::ptrdiff_t>(i * 3072),
                                  rows.begin() + static_cast<std::ptrdiff_t>((i + 1) * 3072));
    const auto one = worked_out(cpu(), *vgg, Tensor::from(cpu(), {1, 3072}, row));
    for (std::size_t c = 0; c < 10; ++c) EXPECT_NEAR(all[i * 10 + c], one[c], 1e-5) << i << ", " << c;
  }
  Pass pass{.purpose = Purpose::training, .wants_usage = true};
  softmax_cross_entropy(vgg->forward(in_f32(x, cpu()), pass), Tensor::zeros(cpu(), {20}, DType::i32)).backward();
  ASSERT_EQ(pass.usage.size(), 4u);
  for (const auto& [name, parameter] : named_parameters(*vgg)) {
    if (!parameter.grad().defined()) continue;  // of an expert that no image went to
    for (const float value : parameter.grad().to_vector<float>()) ASSERT_TRUE(std::isfinite(value)) << name;
  }
}

// At h = 64 a training step costs at most 1.05 times as many FLOPs with 12 experts as with 2 (balanced, as where all experts
// are used alike; the input is such that every gate is undecided).
TEST(HardMixture, AStepCostsAsMuchWithTwelveExpertsAsWithTwo) {
  const auto flops = [](int experts) {
    Context context("cpu");
    const auto model = make_mlp(context, {784, 64, 10, 2, 2, Gating::hard}, RandomStream(1, "test"));
    RandomStream init(2, "test");
    for (Mixture* mixture : mixtures_of(*model))
      for (int k = 2; k < experts; ++k) mixture->split(k < 4 ? k - 2 : k < 8 ? k - 4 : k - 8, 2, init);
    const CostScope scope(context);
    const Tensor x = in_f32(random_tensor({512, 784}, 3), context);
    softmax_cross_entropy(trained(*model, x), Tensor::zeros(context, {512}, DType::i32)).backward();
    return static_cast<double>(scope.cost().flops);
  };
  const double two = flops(2), twelve = flops(12);
  EXPECT_LE(twelve, 1.05 * two);
  EXPECT_GT(twelve, two);
}

TEST(HardMixture, SaysWhatItsNewestGateComputesAndCanShiftIt) {
  const auto tree = grown();
  const State state = state_of(*tree);
  const Tensor x = random_tensor({kRows, kIn}, 3, -2, 2);
  const auto rows = x.to_vector<double>();
  std::vector<double> expected;  // of the rows that come to the last split, the third gate on their way
  for (std::size_t r = 0; r < kRows; ++r)
    if (const Way way = way_of(state, rows.data() + r * kIn); way.gates.size() == 3)
      for (const double score : linear(state, "split.1.gate", rows.data() + r * kIn)) expected.push_back(score);
  ASSERT_FALSE(expected.empty());
  const auto newest = [&] {
    Pass pass{.wants_usage = true};
    tree->forward(x, pass);
    return pass.usage.at(0).newest_gate.to_vector<double>();
  };
  const auto before = newest();
  ASSERT_EQ(before.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(before[i], expected[i], 1e-14);
  expect_error([&] { tree->shift_newest_gate({1}); }, {"a shift of 1 scores for a gate of 2"});
  tree->shift_newest_gate({0.5f, -0.25f});
  const auto after = newest();
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(after[i], expected[i] + (i % 2 == 0 ? 0.5 : -0.25), 1e-14);
}

TEST(HardMixture, RefusesWhatItCannotDo) {
  RandomStream init(5, "test");
  std::vector<std::unique_ptr<Module>> one;
  one.push_back(layer(kIn, kOut, true, init));
  expect_error([&] { Mixture(layer(kIn, 1, false, init), std::move(one), Gating::hard); },
               {"[mixture] 2 to 16 experts of a hard gate, got 1"});
  const auto a = grown(), b = grown();
  std::vector<Module*> members{a.get(), b.get()};
  Stack stack(members);
  expect_error([&] { evaluated(stack, random_tensor({4, kIn}, 1)); }, {"[mixture] a stack cannot have"});
}

}  // namespace
}  // namespace alma::test
