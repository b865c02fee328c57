// AdaBoost.SAMME: the weights by hand, and what a growing ensemble makes of them.
#include "alma/learn/boosting.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>

#include "alma/learn/ensemble.h"
#include "alma/learn/kinds.h"
#include "alma/learn/named_tensors.h"
#include "engine/ops_reduce.h"
#include "models/mlp.h"
#include "tests/alma/learn/training.h"
#include "tests/alma/learn/waves.h"
#include "tests/engine/gradient_check.h"
#include "tests/engine/passes.h"

namespace alma::test {
namespace {

void expect_near(const std::vector<double>& found, const std::vector<double>& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], expected[i], 1e-12) << i;
}

// Four samples of three classes. The first model is wrong on one: e = 1/4, alpha = ln 3 + ln 2, so that its mistake counts 6
// times: 1 1 1 6, of 9. The second is wrong on another: e = 1/9, alpha = ln 8 + ln 2, 16 times: 16 1 1 6, of 24.
TEST(Samme, WeightsAreThoseByHand) {
  const Boosting none = samme({}, 4, 3);
  expect_near(none.samples, {.25, .25, .25, .25});
  EXPECT_TRUE(none.models.empty());
  const std::vector<bool> last{false, false, false, true}, first{true, false, false, false};
  const Boosting one = samme({last}, 4, 3);
  expect_near(one.samples, {1 / 9., 1 / 9., 1 / 9., 6 / 9.});
  expect_near(one.models, {std::log(6)});
  const Boosting two = samme({last, first}, 4, 3);
  expect_near(two.samples, {16 / 24., 1 / 24., 1 / 24., 6 / 24.});
  expect_near(two.models, {std::log(6), std::log(16)});
}

TEST(Samme, NoModelIsInfinitelyGoodOrCountsAgainstItself) {
  const std::vector<bool> right(4, false), wrong(4, true), half{true, true, false, false};
  expect_near(samme({right}, 4, 3).models, {std::log(7) + std::log(2)});  // as if it were wrong on half a sample
  expect_near(samme({wrong}, 4, 3).models, {0});
  expect_near(samme({wrong}, 4, 3).samples, {.25, .25, .25, .25});
  expect_near(samme({half}, 4, 2).models, {0});  // chance
  expect_near(samme({half}, 4, 3).models, {std::log(2)});
}

/// How often each sample was drawn.
std::map<std::int32_t, int> drawn(const RecordedWaves& samples) {
  std::map<std::int32_t, int> times;
  for (const auto& step : samples.steps)
    for (const std::int32_t sample : step) ++times[sample];
  return times;
}

MegaBatch arrivals(std::int32_t update) {
  MegaBatch data;
  for (std::int32_t i = 0; i < 60; ++i) (i < 40 ? data.train : data.validation).push_back(60 * update + i);
  return data;
}

// Two updates: the second model draws its samples by the first one's mistakes, and the prediction is the mean of the logits
// by weight.
TEST(Boost, TrainsOnMistakesAndWeighsItsModels) {
  Context context("cpu");
  const RecordedWaves samples(context);
  EnsembleSettings settings;
  constexpr int kEpochs = 500;
  settings.fit =
      fit_settings({.optimizer = "sgd", .lr = 0.01, .batch_size = 10, .max_epochs = kEpochs, .patience = kEpochs});
  settings.growing = settings.boosting = true;
  settings.combine = Combine::logits;
  const auto make_model = [](Context& where, const std::string& purpose, std::uint64_t i) {
    return make_mlp(where, {Waves::kInputs, 4, Waves::kClasses, 1, 1}, RandomStream(0, purpose, i));
  };
  const auto learner = make_ensemble(context, settings, make_model);
  const auto done = [](const FitProgress&) {};
  // A test of the learner, which keeps the sums of models that no longer train, sees what predict() says.
  const std::shared_ptr<const Samples> shared(&samples, [](const Samples*) {});
  const Tensor tested = all_indices(context, 200);
  const auto expect_tested_as_predicted = [&] {
    const Score score = learner->evaluator(context, shared, tested)({});
    const Batch batch = samples.batch(tested, {});
    const auto found = argmax(learner->predict(batch.x)).to_vector<std::int32_t>();
    const auto labels = batch.y.to_vector<std::int32_t>();
    std::int64_t hits = 0;
    for (std::size_t i = 0; i < found.size(); ++i) hits += found[i] == labels[i];
    EXPECT_EQ(score.hits, hits);
  };
  learner->update(0, samples, arrivals(0), done);
  expect_tested_as_predicted();
  std::vector<std::unique_ptr<Module>> models;
  const auto copy_newest = [&] {
    models.push_back(make_model(context, "unused", 0));
    const auto like = named_state(*models.back());
    copy_tensors(without_prefix("member." + std::to_string(models.size() - 1) + ".model.", learner->tensors(), like), like);
  };
  copy_newest();
  for (const auto& [sample, times] : drawn(samples))
    EXPECT_EQ(times, kEpochs) << sample;  // the first one's weights are equal

  const MegaBatch data = arrivals(1);
  const std::vector<bool> wrong = mistakes(*models[0], samples, data.train);
  const auto misses = std::count(wrong.begin(), wrong.end(), true);
  ASSERT_GT(misses, 4);
  ASSERT_LT(misses, 36);
  samples.steps.clear();
  learner->update(1, samples, data, done);
  expect_tested_as_predicted();
  copy_newest();
  const double e = static_cast<double>(misses) / 40, factor = std::max(1.0, (1 - e) / e * 2);
  const double whole = (40 - static_cast<double>(misses)) + factor * static_cast<double>(misses);
  auto times = drawn(samples);
  for (std::size_t i = 0; i < 40; ++i) {
    const double expected = 40 * kEpochs * (wrong[i] ? factor : 1) / whole;
    EXPECT_NEAR(times[data.train[i]], expected, 5 * std::sqrt(expected)) << i;
  }

  std::vector<double> weights;
  for (std::int32_t u = 0; u < 2; ++u) {
    std::vector<std::vector<bool>> of_all;
    for (std::int32_t m = 0; m <= u; ++m)
      of_all.push_back(mistakes(*models[static_cast<std::size_t>(m)], samples, arrivals(u).validation));
    weights.push_back(samme(of_all, 20, Waves::kClasses).models.back());
  }
  const nlohmann::json state = learner->state();
  expect_near(state.at("weights").get<std::vector<double>>(), weights);
  const Tensor x = samples.batch(Tensor::from(context, {8}, batch_number(100)), {}).x;
  const auto found = learner->predict(x).to_vector<float>();
  const auto a = evaluated(*models[0], x).to_vector<float>(), b = evaluated(*models[1], x).to_vector<float>();
  for (std::size_t row = 0; row < 8; ++row) {
    std::vector<double> exps;
    for (std::size_t c = 0; c < 3; ++c)
      exps.push_back(std::exp((weights[0] * a[row * 3 + c] + weights[1] * b[row * 3 + c]) / (weights[0] + weights[1])));
    const double sum = std::accumulate(exps.begin(), exps.end(), 0.0);
    for (std::size_t c = 0; c < 3; ++c) EXPECT_NEAR(found[row * 3 + c], exps[c] / sum, 1e-6) << row << ", " << c;
  }

  const auto again = make_ensemble(context, settings, make_model);
  again->load(learner->tensors(), state);
  EXPECT_EQ(again->predict(x).to_vector<float>(), found);
  nlohmann::json damaged = state;
  damaged["weights"] = {1.0};
  expect_error(ErrorKind::data, {"\"weights\" must be an array of 2"}, [&] { again->load(learner->tensors(), damaged); });
}

TEST(Boost, GrowsByAModelAtEachUpdateAndLearns) {
  Context context("cpu");
  Config config = small_config();
  config.learner.method = "boost";
  config.learner.wait = 2;
  config.train.max_epochs = 20;
  const Trained run = run_to_end(config, context);
  for (const MegaBatchRecord& r : run.records)
    EXPECT_EQ(r.params, std::max<std::int64_t>(1, r.t / 2) * (2 * 8 * 8 + 1584 * 8 + 1582)) << r.t;
  EXPECT_LT(run.records.back().error, 0.6 * run.records.front().error);
}

}  // namespace
}  // namespace alma::test
