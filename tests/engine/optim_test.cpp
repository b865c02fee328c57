#include "engine/optim.h"

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/ops_elementwise.h"
#include "engine/ops_reduce.h"
#include "tests/engine/gradient_check.h"
#include "tests/simulator.h"

namespace alma::test {
namespace {

const nlohmann::json& golden() {
  static const nlohmann::json json = nlohmann::json::parse(std::ifstream(ALMA_SOURCE_DIR "/tests/golden/training.json"));
  return json;
}

struct Case {
  const char* name;
  OptimizerRule rule;
  double lr;
};
// The same settings as in tests/golden/training.py.
const std::vector<Case> kCases = {
    {"sgd", SgdRule{}, 0.05},
    {"sgd_momentum", SgdRule{0.9, 0, false}, 0.05},
    {"sgd_nesterov_decay", SgdRule{0.9, 1e-2, true}, 0.05},
    {"adadelta", AdadeltaRule{}, 1.0},
    {"adadelta_decay", AdadeltaRule{0.9, 1e-6, 1e-2}, 0.5},
    {"adam", AdamRule{}, 0.01},
    {"adam_decay", AdamRule{0.9, 0.999, 1e-8, 1e-2, false}, 0.01},
    {"adamw", AdamRule{0.9, 0.999, 1e-8, 1e-2, true}, 0.01},
    {"rmsprop", RmspropRule{}, 0.01},
    {"rmsprop_momentum_decay", RmspropRule{0.9, 1e-8, 1e-2, 0.9}, 0.01},
};

template <class T>
std::vector<T> wave(std::size_t count, double phase) {
  std::vector<T> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<T>(std::sin(0.7 * static_cast<double>(i) + phase));
  return values;
}

// Leaves whose gradient at step t is 0.5 w + cos(0.1 t + i), as in the script: the loss is sum(0.25 w^2 + ramp w).
template <class T>
Tensor loss_at(const std::vector<NamedTensor>& weights, int t) {
  Tensor loss;
  for (const auto& [name, w] : weights) {
    std::vector<T> ramp(static_cast<std::size_t>(w.count()));
    for (std::size_t i = 0; i < ramp.size(); ++i) ramp[i] = static_cast<T>(std::cos(0.1 * t + static_cast<double>(i)));
    const Tensor term = sum(0.25 * (w * w) + Tensor::from(w.context(), w.shape(), ramp) * w);
    loss = loss.defined() ? loss + term : term;
  }
  return loss;
}

template <class T>
std::vector<NamedTensor> start(Context& context) {
  std::vector<NamedTensor> weights{{"a", Tensor::from(context, {3, 4}, wave<T>(12, 0.3))},
                                   {"b", Tensor::from(context, {5}, wave<T>(5, 1.1))}};
  for (auto& [name, w] : weights) w.set_requires_grad(true);
  return weights;
}

template <class T>
void follow(Context& context, const Case& c, double allowed) {
  const auto weights = start<T>(context);
  Optimizer optimizer(weights, c.rule, c.lr);
  for (int t = 0; t < 100; ++t) {
    loss_at<T>(weights, t).backward();
    optimizer.step();
    const std::string key = std::to_string(t + 1);
    if (!golden()["optimizers"][c.name].contains(key)) continue;
    for (std::size_t k = 0; k < 2; ++k) {
      const auto expected = golden()["optimizers"][c.name][key][k].template get<std::vector<double>>();
      const auto found = weights[k].second.template to_vector<T>();
      for (std::size_t i = 0; i < expected.size(); ++i)
        EXPECT_NEAR(static_cast<double>(found[i]), expected[i], allowed)
            << c.name << ", step " << key << ", tensor " << k << ", element " << i;
    }
  }
  EXPECT_EQ(optimizer.steps(), 100);
}

TEST(Optimizer, FollowsPyTorchInF64) {
  for (const Case& c : kCases) follow<double>(cpu(), c, tolerance::golden_f64);
}
TEST(Optimizer, FollowsPyTorchInF32) {
  for (const Case& c : kCases) follow<float>(cpu(), c, tolerance::golden_f32);
}
TEST(Optimizer, FollowsPyTorchInTheSimulator) {
  const auto sim = open_simulator();
  if (!sim) GTEST_SKIP() << no_simulator;
  for (const Case& c : kCases) follow<float>(*sim, c, tolerance::golden_f32);
}

TEST(Optimizer, GoesOnFromItsStateToTheSameBits) {
  for (const Case& c : kCases) {
    const auto straight = start<double>(cpu()), stopped = start<double>(cpu());
    Optimizer whole(straight, c.rule, c.lr);
    std::vector<NamedTensor> saved;
    {
      Optimizer first(stopped, c.rule, c.lr);
      for (int t = 0; t < 20; ++t) {
        loss_at<double>(straight, t).backward();
        whole.step();
        if (t >= 7) continue;
        loss_at<double>(stopped, t).backward();
        first.step();
      }
      for (const auto& [name, tensor] : first.state()) saved.emplace_back(name, tensor.clone());
    }
    Optimizer second(stopped, c.rule, c.lr);
    second.restore(saved, 7);
    for (int t = 7; t < 20; ++t) {
      loss_at<double>(stopped, t).backward();
      second.step();
    }
    for (std::size_t k = 0; k < 2; ++k)
      EXPECT_EQ(straight[k].second.to_vector<double>(), stopped[k].second.to_vector<double>()) << c.name;
  }
}

TEST(Optimizer, LetsGradientsGoAndSkipsParametersWithoutOne) {
  const auto weights = start<double>(cpu());
  Optimizer optimizer(weights, SgdRule{}, 1);
  const auto before = weights[1].second.to_vector<double>();
  sum(weights[0].second).backward();
  optimizer.step();
  EXPECT_FALSE(weights[0].second.grad().defined());
  EXPECT_EQ(weights[1].second.to_vector<double>(), before);
}

TEST(Optimizer, RefusesAStateOfAnotherModel) {
  Optimizer optimizer(start<double>(cpu()), AdamRule{}, 1);
  expect_error([&] { optimizer.restore({}, 1); }, {"0 tensors"});
  expect_error([] { Optimizer({}, SgdRule{}, 1); }, {"[optimizer]", "no parameters"});
}

}  // namespace
}  // namespace alma::test
