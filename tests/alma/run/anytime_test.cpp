#include "alma/run/anytime.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "models/mlp.h"
#include "tests/alma/learn/training.h"
#include "tests/tolerances.h"

namespace alma::test {
namespace {

// 10 mega-batches of 30: 27 for training, 3 for validation. MACs per sample: 2 experts of width 8.
constexpr std::uint64_t kMacs = 784 * 2 + 2 * 784 * 8 + 8 * 2 + 2 * 8 * 8 + 8 * 10;

TEST(Anytime, JudgesAtEveryMegaBatchAndWaitsInBetween) {
  Config config = small_config();
  config.learner.wait = 4;  // updates at 4, 8 and, with what is left, 10
  Context context("cpu");
  const auto records = run_to_end(config, context).records;
  ASSERT_EQ(records.size(), 10u);
  for (const MegaBatchRecord& r : records) {
    const bool update = r.t == 4 || r.t == 8 || r.t == 10;
    EXPECT_EQ(r.updated, update) << r.t;
    EXPECT_EQ(r.epochs, update ? 4 : 0);
    EXPECT_EQ(r.val_accuracy.has_value(), update);
    EXPECT_TRUE(r.inference_macs == kMacs);
    EXPECT_EQ(r.params, 2 * (784 * 8 + 8) + 784 * 2 + 2 + 2 * (8 * 8 + 8) + 8 * 2 + 2 + 8 * 10 + 10);
    const std::int64_t arrived = r.t < 4 ? 0 : r.t < 8 ? 4 : r.t < 10 ? 8 : 10;
    EXPECT_TRUE(r.train_macs == kMacs * 27 * static_cast<std::uint64_t>(arrived) * 4) << r.t;
  }
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_DOUBLE_EQ(records[i].error, 0.9) << "before the first update: 1 - 1/classes";
    EXPECT_FALSE(records[i].loss.has_value());
  }
  for (std::size_t i = 4; i < 7; ++i) EXPECT_EQ(records[i].error, records[3].error) << "the model is the same";
  EXPECT_LT(records[9].error, 0.85);
}

TEST(Anytime, ReplayTrainsOnAllThatHasArrived) {
  Config config = small_config();
  config.learner.wait = 5;
  config.learner.replay = true;
  Context context("cpu");
  const auto records = run_to_end(config, context).records;
  EXPECT_TRUE(records[9].train_macs == kMacs * 27 * (5 + 10) * 4) << "5, then all 10 mega-batches";
}

TEST(Anytime, FromScratchStartsEachUpdateAnew) {
  Config config = small_config();
  config.learner.wait = 5;
  Context context("cpu");
  const auto finetuned = run_to_end(config, context);
  config.learner.from_scratch = true;
  const auto scratch = run_to_end(config, context);
  EXPECT_EQ(finetuned.records[4].error, scratch.records[4].error) << "the first update is the same";
  EXPECT_NE(bits(finetuned.tensors), bits(scratch.tensors));
}

TEST(Anytime, TheUntrainedModelCanBeMeasuredInstead) {
  Config config = small_config();
  config.learner.wait = 5;
  config.stream.untrained = "measured";
  Context context("cpu");
  const auto records = run_to_end(config, context).records;
  EXPECT_TRUE(records[0].loss.has_value());
  const ImageData data = load_data(config);
  const auto untrained =
      make_mlp(context, {784, config.model.width, 10, config.model.experts, 2}, RandomStream(0, "initialisation"));
  const std::vector<float> p = test_probabilities(*untrained, context, data);
  double loss = 0, wrong = 0;
  for (std::size_t i = 0; i < data.test.labels.size(); ++i) {
    const float* row = &p[i * 10];
    loss -= std::log(static_cast<double>(row[data.test.labels[i]]));
    wrong += std::max_element(row, row + 10) - row != data.test.labels[i];
  }
  const auto count = static_cast<double>(data.test.labels.size());
  EXPECT_NEAR(*records[0].loss, loss / count, tolerance::golden_f32);
  EXPECT_DOUBLE_EQ(records[0].error, wrong / count);
}

TEST(Anytime, SeedsChangeTheRunAndTheSameSeedRepeatsIt) {
  Config config = small_config();
  Context context("cpu");
  const auto first = run_to_end(config, context), again = run_to_end(config, context);
  EXPECT_EQ(bits(first.tensors), bits(again.tensors));
  config.seed = 1;
  EXPECT_NE(bits(first.tensors), bits(run_to_end(config, context).tensors));
}

TEST(Anytime, AnyNumberOfThreadsGivesTheSameBits) {
  Config config = small_config();
  // Large enough that products, images and evaluation are cut into pieces.
  config.model.width = 256;
  config.stream.synthetic_train = 2000;
  config.stream.synthetic_test = 2000;
  config.stream.mega_batches = 2;
  config.train.batch_size = 500;
  config.train.max_epochs = 3;
  Context one("cpu", 1);
  const Trained expected = run_to_end(config, one);
  for (const int threads : {2, 3}) {
    Context context("cpu", threads);
    const Trained outcome = run_to_end(config, context);
    EXPECT_EQ(bits(outcome.tensors), bits(expected.tensors)) << threads << " threads";
    for (std::size_t i = 0; i < expected.records.size(); ++i) {
      EXPECT_EQ(outcome.records[i].error, expected.records[i].error);
      EXPECT_EQ(outcome.records[i].loss, expected.records[i].loss);
    }
  }
}

TEST(Anytime, EveryOptimizerLearns) {
  for (const char* optimizer : {"sgd", "adadelta", "adam", "adamw", "rmsprop"}) {
    Config config = small_config();
    config.train.optimizer = optimizer;
    config.train.lr = std::string(optimizer) == "adadelta" ? 1.0 : 0.01;
    if (std::string(optimizer) == "sgd") config.train.momentum = 0.9;
    config.stream.synthetic_train = 1000;
    config.model.width = 16;
    config.learner.wait = 10;
    config.train.max_epochs = 20;
    Context context("cpu");
    const double error = run_to_end(config, context).records.back().error;
    EXPECT_LT(error, 0.5) << optimizer << ", chance is 0.9";
    RecordProperty(optimizer, std::to_string(error));
  }
}

}  // namespace
}  // namespace alma::test
