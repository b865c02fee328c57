#include "alma/learn/learning_rate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "alma/learn/kinds.h"
#include "engine/ops_elementwise.h"
#include "engine/ops_reduce.h"
#include "engine/optim.h"
#include "models/mlp.h"
#include "tests/alma/learn/training.h"
#include "tests/tolerances.h"

namespace alma::test {
namespace {

using Shape = RateSchedule::Shape;

TEST(RateFactor, RisesEvenlyAndThenFollowsItsShape) {
  for (const Shape shape : {Shape::constant, Shape::inverse_sqrt, Shape::cosine, Shape::linear}) {
    const RateSchedule schedule{shape, 4};
    for (std::int64_t step = 0; step < 4; ++step)
      EXPECT_DOUBLE_EQ(rate_factor(schedule, step, 20), static_cast<double>(step + 1) / 4);
    EXPECT_NEAR(rate_factor(schedule, 4, 20), 1, 0.11) << "no jump";
  }
  const auto at = [](Shape shape, std::int64_t step) { return rate_factor({shape, 4}, step, 20); };
  EXPECT_DOUBLE_EQ(at(Shape::constant, 19), 1);
  EXPECT_DOUBLE_EQ(at(Shape::inverse_sqrt, 15), 0.5);
  EXPECT_DOUBLE_EQ(at(Shape::cosine, 12), 0.5);
  EXPECT_NEAR(at(Shape::cosine, 8), (1 + std::sqrt(0.5)) / 2, 1e-15);
  EXPECT_DOUBLE_EQ(at(Shape::linear, 12), 0.5);
  EXPECT_DOUBLE_EQ(at(Shape::linear, 19), 1.0 / 16);
}

TEST(RateFactor, WithoutWarmUpBeginsAtTheFullRate) {
  for (const Shape shape : {Shape::constant, Shape::inverse_sqrt, Shape::cosine, Shape::linear})
    EXPECT_DOUBLE_EQ(rate_factor({shape, 0}, 0, 10), 1);
  EXPECT_DOUBLE_EQ(rate_factor({Shape::inverse_sqrt, 0}, 3, 10), 0.5);
}

TEST(RateFactor, AWarmUpMayBeLongerThanTheFit) {
  for (const Shape shape : {Shape::constant, Shape::inverse_sqrt, Shape::cosine, Shape::linear})
    EXPECT_DOUBLE_EQ(rate_factor({shape, 100}, 9, 10), 0.1);
}

// A run by steps: as many as asked for in each update, whatever arrives.
TEST(TrainingBySteps, TakesThatManySteps) {
  Context context("cpu");
  Config config = small_config();
  config.learner.wait = 2;
  config.train.max_steps = 7;
  config.train.batch_size = 10;
  const Trained by_steps = run_to_end(config, context);
  config.train.max_steps = 14;
  const Trained twice = run_to_end(config, context);
  ASSERT_EQ(by_steps.records.size(), twice.records.size());
  EXPECT_TRUE(2 * by_steps.records.back().train_macs == twice.records.back().train_macs);
}

// Warm-up, shape, clipping and micro-batches reach the training; a micro-batch changes roundings alone.
TEST(TrainingBySteps, EveryKeyHasItsEffect) {
  Context context("cpu");
  Config plain = small_config();
  plain.learner.wait = 5;
  plain.train.optimizer = "sgd";
  plain.train.lr = 0.1;
  plain.train.max_steps = 12;
  const auto weights = [&](const std::function<void(Config&)>& change) {
    Config config = plain;
    change(config);
    return run_to_end(config, context).tensors;
  };
  const auto before = bits(weights([](Config&) {}));
  EXPECT_NE(bits(weights([](Config& c) { c.train.warm_up = 5; })), before);
  for (const char* shape : {"inverse_sqrt", "cosine", "linear"})
    EXPECT_NE(bits(weights([&](Config& c) { c.train.schedule = shape; })), before) << shape;
  EXPECT_NE(bits(weights([](Config& c) { c.train.clip = 0.01; })), before);
  EXPECT_EQ(bits(weights([](Config& c) { c.train.clip = 1e6; })), before);
  const auto all = weights([](Config&c) { c.train.weight_decay = 0.1; }), matrices = weights([](Config&c) {
                                                                            c.train.weight_decay = 0.1;
                                                                            c.train.decay = "matrices";
                                                                          });
  EXPECT_NE(bits(all), before);
  EXPECT_NE(bits(matrices), bits(all));
}

TEST(TrainingBySteps, DecayOfMatricesLeavesBiasesAlone) {
  Context context("cpu");
  const auto model = [&] { return make_mlp(context, {6, 4, 3, 1, 1}, RandomStream(1, "test")); };
  // Without gradients an update is its decay alone.
  for (const bool matrices_only : {false, true}) {
    const auto network = model();
    const auto parameters = named_parameters(*network);
    std::map<std::string, std::vector<float>> first;
    for (const auto& [name, parameter] : parameters) {
      first[name] = parameter.to_vector<float>();
      (sum(parameter) * Tensor::zeros(context, {}, DType::f32)).backward();
    }
    Optimizer optimizer(parameters, AdamRule{.weight_decay = 0.5, .decoupled = true}, 0.1,
                        matrices_only ? DecayOf::matrices : DecayOf::all);
    optimizer.step();
    for (const auto& [name, parameter] : parameters) {
      const bool decays = !matrices_only || name.ends_with("weight");
      const auto now = parameter.to_vector<float>();
      for (std::size_t i = 0; i < now.size(); ++i) EXPECT_FLOAT_EQ(now[i], first[name][i] * (decays ? 0.95f : 1.0f)) << name;
    }
  }
}

}  // namespace
}  // namespace alma::test
