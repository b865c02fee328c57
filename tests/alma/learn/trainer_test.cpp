// Training and evaluating samples that are no images; what stands between the gradients and the update.
#include "alma/learn/trainer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "alma/learn/ensemble.h"
#include "alma/learn/evaluate.h"
#include "engine/ops_elementwise.h"
#include "tests/alma/learn/points.h"
#include "tests/alma/learn/training.h"

namespace alma::test {
namespace {

std::unique_ptr<Module> linear_model(Context& context, DType dtype, std::uint64_t number = 0) {
  RandomStream init(number, "model");
  return std::make_unique<Linear>(context, Points::kFeatures, 3, false, init, dtype);
}

std::vector<double> values(Module& model) {
  std::vector<double> all;
  for (const auto& [name, tensor] : named_parameters(model))
    for (const double value : tensor.to_vector<double>()) all.push_back(value);
  return all;
}

/// One step of SGD at rate 1 in f64: the change of the weights is minus the gradient that the optimizer was given.
class Step : public ::testing::Test {
 protected:
  struct Outcome {
    std::vector<std::vector<double>> changes;  // of each member
    std::vector<double> losses;
  };
  /// Of a stack if there are more members than one; each has its own samples.
  Outcome step(std::size_t members, TrainerSettings settings) {
    settings.rule = SgdRule{};
    std::vector<std::unique_ptr<Module>> models;
    std::vector<Module*> pointers;
    std::vector<std::vector<double>> before;
    for (std::size_t i = 0; i < members; ++i) {
      models.push_back(linear_model(context_, DType::f64, i));
      pointers.push_back(models[i].get());
      before.push_back(values(*models[i]));
    }
    const std::unique_ptr<Module> stacked = members > 1 ? std::make_unique<Stack>(pointers) : nullptr;
    const auto k = static_cast<std::int64_t>(members);
    Trainer trainer(stacked ? *stacked : *models[0], points_, std::vector<std::uint64_t>(members, 7), settings);
    const Tensor losses = Tensor::empty(context_, {k}, DType::f64);
    trainer.step(all_indices(context_, 10 * k), losses);
    Outcome outcome{{}, losses.to_vector<double>()};
    for (std::size_t i = 0; i < members; ++i) {
      std::vector<double> change = values(*models[i]);
      for (std::size_t j = 0; j < change.size(); ++j) change[j] -= before[i][j];
      outcome.changes.push_back(change);
    }
    return outcome;
  }
  static double norm(const std::vector<double>& x) {
    double sum = 0;
    for (const double value : x) sum += value * value;
    return std::sqrt(sum);
  }
  static void expect_near(const std::vector<double>& found, const std::vector<double>& expected, double factor = 1) {
    ASSERT_EQ(found.size(), expected.size());
    for (std::size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], factor * expected[i], 1e-13) << i;
  }

  Context context_{"cpu"};
  Points points_{context_, 30, DType::f64};
};

TEST_F(Step, MicroBatchesAddUpToTheGradientAndTheLossOfTheBatch) {
  for (const std::size_t members : {1, 3}) {
    const Outcome whole = step(members, {});
    for (const std::int64_t micro : {1, 3, 5, 10, 64}) {
      points_.sizes.clear();
      const Outcome parts = step(members, {.micro_batch = micro});
      const auto k = static_cast<std::int64_t>(members);
      if (micro == 3) {
        EXPECT_EQ(points_.sizes, (std::vector<std::int64_t>{3 * k, 3 * k, 3 * k, k}));
      }
      expect_near(parts.losses, whole.losses);
      for (std::size_t i = 0; i < members; ++i) expect_near(parts.changes[i], whole.changes[i]);
    }
  }
}

TEST_F(Step, ClipsTheGradientOfEachMemberByItsOwnNorm) {
  const Outcome raw = step(2, {});
  const double first = norm(raw.changes[0]), second = norm(raw.changes[1]);
  ASSERT_NE(first, second);
  const double between = (first + second) / 2;
  const Outcome clipped = step(2, {.clip = between});
  for (std::size_t i = 0; i < 2; ++i)
    expect_near(clipped.changes[i], raw.changes[i], std::min(1.0, between / norm(raw.changes[i])));
  expect_near(clipped.losses, raw.losses);
}

TEST_F(Step, TheExchangeComesBeforeClippingAndUpdate) {
  const Outcome raw = step(1, {});
  std::vector<std::string> names;
  const auto twice = [&](std::span<const NamedTensor> parameters) {
    for (const auto& [name, parameter] : parameters) {
      names.push_back(name);
      parameter.grad().copy_from(affine(parameter.grad(), 2, 0));
    }
  };
  expect_near(step(1, {.exchange = twice}).changes[0], raw.changes[0], 2);
  EXPECT_EQ(names, (std::vector<std::string>{"weight", "bias"}));
  const double clip = 1.5 * norm(raw.changes[0]);
  expect_near(step(1, {.clip = clip, .exchange = twice}).changes[0], raw.changes[0], 1.5);
}

TEST_F(Step, TheRateIsThatOfTheStep) {
  const Outcome raw = step(1, {});
  const auto quarter = [](std::int64_t number) { return number == 0 ? 0.25 : 100; };
  expect_near(step(1, {.learning_rate = 2, .rate_factor = quarter}).changes[0], raw.changes[0], 0.5);
}

TEST(Evaluation, CountsPredictionsOfAnySamples) {
  Context context("cpu");
  const Points points(context, 30, DType::f32);
  const Tensor indices = all_indices(context, 30);
  // Whoever says the coordinates themselves is always right, and the loss is that of their softmax.
  const Score right = evaluate([](const Tensor& x) { return x; }, points, indices);
  EXPECT_EQ(points.evaluated, 8) << "batches of 4 of 30";
  EXPECT_EQ(right.predictions, 30);
  EXPECT_EQ(right.hits, 30);
  const std::vector<float> x = points.batch(indices, {}).x.to_vector<float>();
  double expected = 0;
  for (std::size_t i = 0; i < 30; ++i) {
    double sum = 0, largest = -1;
    for (std::size_t c = 0; c < 3; ++c) {
      const double value = static_cast<double>(x[3 * i + c]);
      sum += std::exp(value);
      largest = std::max(largest, value);
    }
    expected += std::log(sum) - largest;
  }
  EXPECT_NEAR(right.loss_sum, expected, 1e-5);
  // Who knows nothing has the perplexity of chance.
  const Score guess = evaluate([](const Tensor& rows) { return 0.0 * rows; }, points, indices);
  EXPECT_NEAR(guess.perplexity(), chance(Measure::perplexity, points.classes()), 1e-5);
  EXPECT_EQ(evaluate([](const Tensor& rows) { return rows; }, points, indices.part(0, {0})).predictions, 0);
}

class FitOfPoints : public ::testing::Test {
 protected:
  FitOfPoints() {
    for (std::int32_t i = 0; i < 60; ++i) (i % 3 == 0 ? data_.validation : data_.train).push_back(i);
    settings_.rule = SgdRule{};
    settings_.learning_rate = 0.5;
    settings_.batch_size = 16;  // 16, 16 and 8
    settings_.max_epochs = 10;
  }
  Context context_{"cpu"};
  MegaBatch data_;
  FitSettings settings_;
};

TEST_F(FitOfPoints, LearnsWhatIsNoImage) {
  const Points points(context_, 60, DType::f32);
  const auto model = linear_model(context_, DType::f32);
  const Score before = evaluate(*model, points, all_indices(context_, 60));
  const FitResult result = run(fit_of(*model, points, data_, settings_, 9, "update 1"), [](const FitProgress&) {});
  EXPECT_EQ(result.epochs, 10);
  ASSERT_EQ(points.drawn.size(), 1u);
  EXPECT_EQ(points.drawn[0].key, RandomStream::key(9, "augmentation, update 1"));
  EXPECT_NE(points.drawn[0].state, nullptr);
  EXPECT_TRUE(result.cost.macs == Count{10 * 40 * 3 * 3}) << to_text(result.cost.macs);
  const Score after = evaluate(*model, points, all_indices(context_, 60));
  EXPECT_LT(after.error(), before.error());
  EXPECT_LT(after.loss(), before.loss());
}

TEST_F(FitOfPoints, BySteps) {
  settings_.max_steps = 7;
  settings_.validate_every = 2;
  const Points points(context_, 60, DType::f32);
  const auto model = linear_model(context_, DType::f32);
  std::vector<std::int64_t> validations;  // after so many steps
  std::int64_t steps = 0;
  const FitResult result = run(fit_of(*model, points, data_, settings_, 9, "update 1"), [&](const FitProgress& progress) {
    ++steps;
    if (std::exchange(points.evaluated, 0) != 0) validations.push_back(steps);
    EXPECT_EQ(progress.epoch, steps / 3);
    EXPECT_EQ(progress.max_epochs, 3);
  });
  EXPECT_EQ(steps, 7);
  EXPECT_EQ(validations, (std::vector<std::int64_t>{2, 4, 6, 7}));
  EXPECT_TRUE(result.cost.macs == Count{(40 + 40 + 16) * 9});
}

TEST_F(FitOfPoints, ByStepsGoesOnFromEachToTheSameBits) {
  settings_.rule = AdamRule{};
  settings_.max_steps = 7;
  settings_.validate_every = 2;
  const Points points(context_, 60, DType::f32, Measure::perplexity);
  const auto whole = linear_model(context_, DType::f32);
  const FitResult expected = run(fit_of(*whole, points, data_, settings_, 9, "u"), [](const FitProgress&) {});
  for (int stop = 1; stop < 7; ++stop) {
    const auto first = linear_model(context_, DType::f32), second = linear_model(context_, DType::f32);
    Fit before = fit_of(*first, points, data_, settings_, 9, "u"), after = fit_of(*second, points, data_, settings_, 9, "u");
    for (int i = 0; i < stop; ++i) before.step();
    copy_tensors(named_state(*first), named_state(*second));
    after.restore(0, before.tensors(0), nlohmann::json::parse(before.state(0).dump()));
    const FitResult result = run(after, [](const FitProgress&) {});
    EXPECT_EQ(bits(named_state(*second)), bits(named_state(*whole))) << stop;
    EXPECT_EQ(result.best, expected.best);
  }
}

TEST_F(FitOfPoints, TheMeasureDecidesWhichWeightsAreTheBest) {
  settings_.learning_rate = 20;  // jumps about: the last is not the best
  const Points points(context_, 60, DType::f32, Measure::perplexity);
  const auto model = linear_model(context_, DType::f32);
  const Tensor validation = Tensor::from(context_, {20}, data_.validation);
  std::vector<double> found;
  Fit fit = fit_of(*model, points, data_, settings_, 9, "update 1");
  const FitResult result = run(fit, [&](const FitProgress& progress) {
    if (progress.epoch == static_cast<std::int64_t>(found.size()) + 1)
      found.push_back(evaluate(*model, points, validation).perplexity());
  });
  ASSERT_EQ(found.size(), 10u);
  const double best = *std::min_element(found.begin(), found.end());
  EXPECT_NE(best, found.back());
  EXPECT_EQ(result.best, best);
  EXPECT_EQ(evaluate(*model, points, validation).perplexity(), best);
}

TEST_F(FitOfPoints, AStackFollowsItsMembersOneByOne) {
  const Points points(context_, 60, DType::f32);
  std::vector<std::unique_ptr<Module>> together, alone;
  std::vector<Trainee> trainees;
  for (std::size_t i = 0; i < 3; ++i) {
    together.push_back(linear_model(context_, DType::f32, i));
    alone.push_back(linear_model(context_, DType::f32, i));
    trainees.push_back({*together[i], data_, "member " + std::to_string(i + 1)});
  }
  Fit fit(trainees, points, settings_, 9);
  while (!fit.done()) fit.step();
  EXPECT_EQ(points.drawn.size(), 3u);
  const std::vector<FitResult> results = fit.finish();
  for (std::size_t i = 0; i < 3; ++i) {
    const FitResult single =
        run(fit_of(*alone[i], points, data_, settings_, 9, trainees[i].name), [](const FitProgress&) {});
    EXPECT_EQ(results[i].best, single.best);
    EXPECT_TRUE(results[i].cost.macs == single.cost.macs);
    const auto a = named_state(*together[i]), b = named_state(*alone[i]);
    for (std::size_t t = 0; t < a.size(); ++t) {
      const auto x = a[t].second.to_vector<float>(), y = b[t].second.to_vector<float>();
      for (std::size_t j = 0; j < x.size(); ++j) EXPECT_NEAR(x[j], y[j], 1e-5) << i << ' ' << a[t].first;
    }
  }
  MegaBatch fewer = data_;
  fewer.train.pop_back();
  trainees[2].data = fewer;
  EXPECT_THROW(Fit(trainees, points, settings_, 9), Error);
}

TEST_F(FitOfPoints, AnEnsembleLearnsThemToo) {
  const auto points = std::make_shared<Points>(context_, 60, DType::f32);
  EnsembleSettings settings;
  settings.fit = settings_;
  settings.members = 2;
  const auto learner =
      make_ensemble(context_, settings, [](Context& context, const std::string& purpose, std::uint64_t index) {
        RandomStream init(1, purpose, index);
        return std::make_unique<Linear>(context, Points::kFeatures, 3, false, init);
      });
  const Tensor indices = all_indices(context_, 60);
  int batches = 0;
  const Score before = learner->evaluator(context_, points, indices)([&] { ++batches; });
  EXPECT_EQ(batches, (60 + points->evaluation_batch() - 1) / points->evaluation_batch());
  EXPECT_EQ(learner->planned_samples(40, 0), 400);
  learner->update(0, *points, data_, [](const FitProgress&) {});
  EXPECT_LT(learner->evaluator(context_, points, indices)({}).loss(), before.loss());
  EXPECT_TRUE(learner->macs_per_sample(*points) == 2 * 9);
}

}  // namespace
}  // namespace alma::test
