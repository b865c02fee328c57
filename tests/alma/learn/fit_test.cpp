#include "alma/learn/fit.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "alma/learn/evaluate.h"
#include "data/synthetic.h"
#include "engine/ops_elementwise.h"
#include "engine/ops_loss.h"
#include "engine/ops_reduce.h"
#include "models/mlp.h"
#include "models/vgg.h"
#include "tests/alma/learn/training.h"
#include "tests/engine/passes.h"

namespace alma::test {
namespace {

class FitTest : public ::testing::Test {
 protected:
  static constexpr std::int32_t kTrain = 130;
  FitTest() : data_(make_synthetic_images({.train = 180, .test = 1})) {
    images_ = upload_samples(context_, data_.train, data_.mean, data_.std);
    split_ = first_images(kTrain, 180);
    settings_.rule = AdamRule{};
    settings_.learning_rate = 0.01;
    settings_.batch_size = 64;
    settings_.max_epochs = 12;
  }
  std::unique_ptr<Module> model() { return make_mlp(context_, {784, 4, 10, 2, 2}, RandomStream(5, "test")); }
  Fit fit(Module& model) { return fit_of(model, *images_, split_, settings_, 9, "update 1"); }

  Context context_{"cpu"};
  ImageData data_;
  std::shared_ptr<const Samples> images_;
  MegaBatch split_;
  FitSettings settings_;
};

void ignore(const FitProgress&) {}

// The protocol once more in plain words: shuffle, steps of 64, 64 and 2, validate, remember the first best.
TEST_F(FitTest, KeepsTheWeightsOfTheFirstBestEpoch) {
  const auto trained = model(), reference = model();
  const FitResult result = run(fit(*trained), ignore);

  Optimizer optimizer(named_parameters(*reference), AdamRule{}, 0.01);
  double best = -1;
  std::string best_weights;
  for (std::uint64_t epoch = 0; epoch < 12; ++epoch) {
    std::vector<std::int32_t> order = split_.train;
    RandomStream(9, "shuffle, update 1", epoch).shuffle(order);
    for (std::size_t first = 0; first < order.size(); first += 64) {
      const std::vector<std::int32_t> part(order.begin() + static_cast<std::ptrdiff_t>(first),
                                           order.begin() + static_cast<std::ptrdiff_t>(std::min(first + 64, order.size())));
      const Batch batch = images_->batch(Tensor::from(context_, {static_cast<std::int64_t>(part.size())}, part), {});
      softmax_cross_entropy(test::trained(*reference, batch.x), batch.y).backward();
      optimizer.step();
    }
    const Score validation = evaluate(*reference, *images_, Tensor::from(context_, {50}, split_.validation));
    if (validation.accuracy() > best) {
      best = validation.accuracy();
      best_weights = bits(named_parameters(*reference));
    }
  }
  EXPECT_EQ(result.epochs, 12);
  EXPECT_EQ(result.best, best);
  EXPECT_EQ(bits(named_parameters(*trained)), best_weights);
  EXPECT_GT(best, 0.2) << "chance is 0.1: it must have learned something for this to mean anything";
}

// A model that wants all its parameters small: the sum of their squares on top of the loss.
class Penalised final : public Module {
 public:
  explicit Penalised(std::unique_ptr<Module> model) : model_(std::move(model)) {}
  Tensor forward(const Tensor& x, Pass& pass) override {
    for (const auto& [name, parameter] : named_parameters(*model_)) pass.penalties.push_back(sum(parameter * parameter));
    return model_->forward(x, pass);
  }
  void children(const ChildVisitor& visitor) override { visitor("", *model_); }
  nlohmann::json structure() const override { return {{"type", "penalised"}, {"model", model_->structure()}}; }
  std::unique_ptr<Module> clone(Context& context) const override {
    return std::make_unique<Penalised>(model_->clone(context));
  }

 private:
  std::unique_ptr<Module> model_;
};

// The gradient of such a penalty is 2 w, which is what a weight decay of 2 adds.
TEST_F(FitTest, AddsWhatThePassPenalises) {
  settings_.learning_rate = 0.001;
  settings_.max_epochs = 1;
  const auto plain = model();
  Penalised penalised(model());
  settings_.rule = SgdRule{};
  run(fit(penalised), ignore);
  const auto without = model();
  run(fit(*without), ignore);
  settings_.rule = SgdRule{.weight_decay = 2};
  run(fit(*plain), ignore);
  EXPECT_NE(bits(named_state(penalised)), bits(named_state(*without)));
  const auto found = named_state(penalised), expected = named_state(*plain);
  for (std::size_t i = 0; i < found.size(); ++i) {
    const auto a = found[i].second.to_vector<float>(), b = expected[i].second.to_vector<float>();
    for (std::size_t k = 0; k < a.size(); ++k) EXPECT_NEAR(a[k], b[k], 1e-6) << found[i].first << ", element " << k;
  }
}

TEST_F(FitTest, CountsTheForwardMacsOfTrainingSamplesAlone) {
  const auto trained = model();
  const FitResult result = run(fit(*trained), ignore);
  EXPECT_TRUE(result.cost.macs == Count{12} * kTrain * 7'920) << to_text(result.cost.macs);
}

TEST_F(FitTest, EndsAfterPatienceEpochsWithoutABetterOne) {
  settings_.rule = SgdRule{};
  settings_.learning_rate = 0;  // nothing ever changes: the first epoch is the best
  settings_.max_epochs = 100;
  settings_.patience = 7;
  const auto trained = model();
  EXPECT_EQ(run(fit(*trained), ignore).epochs, 1 + 7);
}

TEST_F(FitTest, BetterMeansByMoreThanPatienceDelta) {
  settings_.patience_delta = 1;  // no accuracy is better than another by more than this
  settings_.patience = 3;
  settings_.max_epochs = 100;
  const auto trained = model();
  EXPECT_EQ(run(fit(*trained), ignore).epochs, 1 + 3);
}

TEST_F(FitTest, WithoutValidationSamplesTheLastWeightsStay) {
  split_.validation.clear();
  settings_.patience = 1;
  const auto trained = model();
  std::string last;
  const FitResult result = run(fit(*trained), [&](const FitProgress&) { last = bits(named_parameters(*trained)); });
  EXPECT_EQ(result.epochs, 12) << "patience cannot run out";
  EXPECT_FALSE(result.best);
  EXPECT_EQ(bits(named_parameters(*trained)), last);
}

TEST_F(FitTest, GoesOnFromEveryStepToTheSameBits) {
  const auto whole = model();
  int steps = 0;
  const FitResult expected = run(fit(*whole), [&](const FitProgress&) { ++steps; });
  ASSERT_EQ(steps, 36);
  for (int stop = 1; stop <= steps; ++stop) {
    struct Stop {};
    const auto first = model(), second = model();
    std::vector<NamedTensor> saved;
    nlohmann::json state;
    Fit before = fit(*first);
    int done = 0;
    try {
      run(before, [&](const FitProgress&) {
        if (++done == stop) throw Stop{};
      });
      FAIL();
    } catch (const Stop&) {
      for (const auto& [name, tensor] : before.tensors(0)) saved.emplace_back(name, tensor.clone());
      state = nlohmann::json::parse(before.state(0).dump());
      copy_tensors(named_parameters(*first), named_parameters(*second));
    }
    Fit after = fit(*second);
    after.restore(0, saved, state);
    const FitResult result = run(after, ignore);
    EXPECT_EQ(bits(named_parameters(*second)), bits(named_parameters(*whole))) << "stopped after step " << stop;
    EXPECT_EQ(result.epochs, expected.epochs);
    EXPECT_EQ(result.best, expected.best);
    EXPECT_TRUE(result.cost.macs == expected.cost.macs && result.cost.flops == expected.cost.flops);
  }
}

TEST_F(FitTest, ALossThatIsNotFiniteEndsTheRunNamingUpdateEpochAndStep) {
  settings_.rule = SgdRule{};
  settings_.learning_rate = 1e30;
  const auto trained = model();
  try {
    run(fit(*trained), ignore);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::failed);
    const std::string text = error.what();
    for (const char* part : {"not finite", "update 1", "epoch 1", "step 2 of 3"})
      EXPECT_NE(text.find(part), std::string::npos) << text;
  }
}

// VGG19 on a few colour images, cropped and mirrored: running statistics and augmentations go on too.
class FitVgg : public ::testing::Test {
 protected:
  FitVgg() {
    settings_.rule = SgdRule{0.9, 1e-4, false};
    settings_.learning_rate = 0.01;
    settings_.batch_size = 16;  // 16, 16 and 3 images
    settings_.max_epochs = 3;
  }
  std::unique_ptr<Module> model() { return make_vgg19(context_, {3, 3, 10, 1}, RandomStream(5, "test")); }
  std::string trained(const std::string& name) {
    const auto trained = model();
    run(fit_of(*trained, *images_, split_, settings_, 9, name), ignore);
    return bits(named_state(*trained));
  }

  Context context_{"cpu"};
  static constexpr ImageAugmentation kCut{.pad = 4, .flip = true};
  std::shared_ptr<const Samples> images_ = colour_images(context_, 40, kCut);
  const MegaBatch split_ = first_images(35, 40);
  FitSettings settings_;
};

TEST_F(FitVgg, GoesOnFromEveryStepToTheSameBits) {
  const std::string whole = trained("update 1");
  struct Stop {};
  for (int stop = 1; stop <= 9; ++stop) {
    const auto first = model(), second = model();
    Fit before = fit_of(*first, *images_, split_, settings_, 9, "update 1");
    int done = 0;
    EXPECT_THROW(run(before,
                     [&](const FitProgress&) {
                       if (++done == stop) throw Stop{};
                     }),
                 Stop);
    copy_tensors(named_state(*first), named_state(*second));
    Fit after = fit_of(*second, *images_, split_, settings_, 9, "update 1");
    after.restore(0, before.tensors(0), before.state(0));
    run(after, ignore);
    EXPECT_EQ(bits(named_state(*second)), whole) << "stopped after step " << stop;
  }
}

TEST_F(FitVgg, AugmentationChangesWhatIsTrainedOn) {
  const std::string with = trained("update 1");
  images_ = colour_images(context_, 40);
  EXPECT_NE(trained("update 1"), with);
}

TEST_F(FitVgg, AnyNumberOfThreadsGivesTheSameBits) {
  const std::string one = trained("update 1");
  for (const int threads : {2, 3}) {
    Context context("cpu", threads);
    const auto images = colour_images(context, 40, kCut);
    const auto other = make_vgg19(context, {3, 3, 10, 1}, RandomStream(5, "test"));
    run(fit_of(*other, *images, split_, settings_, 9, "update 1"), ignore);
    EXPECT_EQ(bits(named_state(*other)), one) << threads;
  }
}

TEST(Counts, SurviveTextBeyond64Bits) {
  const Count large = (static_cast<Count>(1) << 100) + 12345;
  EXPECT_EQ(to_text(large), "1267650600228229401496703217721");
  EXPECT_TRUE(count_from_text(to_text(large)) == large);
  EXPECT_EQ(to_text(0), "0");
  EXPECT_THROW(count_from_text("12x"), Error);
}

}  // namespace
}  // namespace alma::test
