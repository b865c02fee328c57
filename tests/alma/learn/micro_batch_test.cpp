// A step in micro-batches is the step of the whole batch: the same random draws, the same losses and weights but for
// roundings.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "alma/learn/trainer.h"
#include "tests/alma/learn/training.h"
#include "tests/simulator.h"
#include "tests/tolerances.h"

namespace alma::test {
namespace {

/// Half of the elements at random, and which of them are kept if somebody wants to know.
class HalfDropped final : public Module {
 public:
  explicit HalfDropped(std::vector<float>* kept) : kept_(kept) {}
  Tensor forward(const Tensor& x, Pass& pass) override {
    RandomPlace place = pass.random;
    place.first = pass.first_row * x.dim(1);
    const auto drop = [place](const Tensor& from) {
      Tensor to = Tensor::empty(from.context(), from.shape(), from.dtype());
      from.backend().dropout(from, 0.5, place, to.out());
      return to;
    };
    if (kept_ != nullptr) {
      const std::vector<float> here = drop(Tensor::full(x.context(), x.shape(), x.dtype(), 1)).to_vector<float>();
      kept_->insert(kept_->end(), here.begin(), here.end());
    }
    return record("dropout", {x}, drop(x), [drop](const Tensor& dy, Grads& grads) { grads.add(0, drop(dy)); });
  }
  nlohmann::json structure() const override { return {{"type", "test-half-dropped"}}; }
  std::unique_ptr<Module> clone(Context&) const override { return std::make_unique<HalfDropped>(kept_); }

 private:
  std::vector<float>* kept_;
};

/// Images that remember what each member of a stack was trained on.
class RecordedImages final : public Samples {
 public:
  RecordedImages(std::shared_ptr<const Samples> images, std::vector<std::vector<float>>* seen)
      : images_(std::move(images)), seen_(seen) {}
  std::int64_t count() const override { return images_->count(); }
  std::int64_t classes() const override { return images_->classes(); }
  Measure measure() const override { return images_->measure(); }
  Tensor example(Context& context) const override { return images_->example(context); }
  std::int64_t evaluation_batch() const override { return images_->evaluation_batch(); }
  Batch batch(const Tensor& indices, const Draw& draw) const override {
    Batch batch = images_->batch(indices, draw);
    if (seen_ == nullptr) return batch;
    const std::vector<float> x = dense(batch.x).to_vector<float>();
    const std::size_t of_member = x.size() / seen_->size();
    auto from = x.begin();
    for (std::vector<float>& member : *seen_) {
      member.insert(member.end(), from, from + static_cast<std::ptrdiff_t>(of_member));
      from += static_cast<std::ptrdiff_t>(of_member);
    }
    return batch;
  }

 private:
  std::shared_ptr<const Samples> images_;
  std::vector<std::vector<float>>* seen_;
};

class MicroBatches : public ::testing::Test {
 protected:
  static constexpr std::int64_t kBatch = 11, kSteps = 3, kImages = 20;

  struct Outcome {
    std::vector<std::vector<float>> images;  // that each member was trained on, sample by sample
    std::vector<float> kept;                 // what dropout has made of ones
    std::vector<double> losses;              // of each member and step
    std::vector<NamedTensor> weights;
  };

  /// A few steps of SGD with cropped and mirrored images: of one model with dropout, or of a stack.
  Outcome train(Context& context, std::size_t members, std::int64_t micro_batch, bool graph = false) {
    Outcome outcome;
    outcome.images.resize(members);
    const RecordedImages images(colour_images(context, kImages, {.pad = 4, .fill = {-1.9f, -1.9f, -1.9f}, .flip = true}),
                                graph ? nullptr : &outcome.images);
    std::vector<std::unique_ptr<Module>> models;
    std::vector<Module*> pointers;
    std::vector<std::uint64_t> keys;
    for (std::size_t i = 0; i < members; ++i) {
      RandomStream init(i, "model");
      auto model = std::make_unique<Sequential>();
      model->add("hidden", std::make_unique<Linear>(context, 3 * 32 * 32, 7, true, init));
      if (members == 1) model->add("dropout", std::make_unique<HalfDropped>(graph ? nullptr : &outcome.kept));
      model->add("output", std::make_unique<Linear>(context, 7, 10, false, init));
      pointers.push_back(model.get());
      models.push_back(std::move(model));
      keys.push_back(100 + i);
    }
    const std::unique_ptr<Module> stacked = members > 1 ? std::make_unique<Stack>(pointers) : nullptr;
    Module& model = stacked ? *stacked : *models[0];
    Trainer trainer(model, images, keys,
                    {.rule = SgdRule{0.9, 1e-3, false}, .learning_rate = 0.05, .micro_batch = micro_batch, .graph = graph});
    const auto k = static_cast<std::int64_t>(members);
    const Tensor losses = Tensor::empty(context, {k}, DType::f32);
    for (std::int64_t step = 0; step < kSteps; ++step) {
      std::vector<std::int32_t> indices;
      for (std::int64_t i = 0; i < k * kBatch; ++i)
        indices.push_back(static_cast<std::int32_t>((step * kBatch + i) * 7 % kImages));
      trainer.step(Tensor::from(context, {k * kBatch}, indices), losses);
      for (const float loss : losses.to_vector<float>()) outcome.losses.push_back(static_cast<double>(loss));
    }
    for (const auto& [name, tensor] : named_parameters(model)) outcome.weights.emplace_back(name, tensor.clone());
    return outcome;
  }

  void expect_same(const Outcome& found, const Outcome& whole) {
    EXPECT_EQ(found.images, whole.images) << "cuts and mirrorings";
    EXPECT_EQ(found.kept, whole.kept) << "dropout";
    ASSERT_EQ(found.losses.size(), whole.losses.size());
    for (std::size_t i = 0; i < whole.losses.size(); ++i)
      EXPECT_NEAR(found.losses[i], whole.losses[i], tolerance::micro_batches * whole.losses[i]) << "loss " << i;
    for (std::size_t t = 0; t < whole.weights.size(); ++t) {
      const auto& [name, tensor] = whole.weights[t];
      const std::vector<float> expected = tensor.to_vector<float>(), here = found.weights[t].second.to_vector<float>();
      double largest = 0, difference = 0;
      for (std::size_t i = 0; i < expected.size(); ++i) {
        largest = std::max(largest, std::abs(static_cast<double>(expected[i])));
        difference = std::max(difference, std::abs(static_cast<double>(here[i]) - static_cast<double>(expected[i])));
      }
      EXPECT_LE(difference, tolerance::micro_batches * largest) << name;
      worst_ = std::max(worst_, difference / largest);
    }
  }

  void check(Context& context) {
    for (const std::size_t members : {1, 2}) {
      const Outcome whole = train(context, members, 0);
      ASSERT_EQ(whole.images[0].size(), static_cast<std::size_t>(kSteps * kBatch * 3 * 32 * 32));
      ASSERT_EQ(whole.kept.empty(), members > 1);
      for (const std::int64_t micro : {1, 2, 4, 11}) {  // 2 and 4 leave a last one of 1 and 3
        SCOPED_TRACE(testing::Message() << members << " members, micro-batches of " << micro);
        expect_same(train(context, members, micro), whole);
      }
    }
    RecordProperty("worst weight", std::to_string(worst_ * 1e9) + "e-9");
  }

 private:
  double worst_ = 0;  // relative difference of a weight
};

TEST_F(MicroBatches, AreTheBatchOnTheCpu) {
  Context context("cpu");
  check(context);
}

TEST_F(MicroBatches, AreTheBatchInTheSimulator) {
  const auto sim = open_simulator();
  if (!sim) GTEST_SKIP() << no_simulator;
  check(*sim);
}

TEST_F(MicroBatches, OfACapturedStepHaveTheBitsOfAnEagerOne) {
  const auto sim = open_simulator();
  if (!sim) GTEST_SKIP() << no_simulator;
  for (const std::size_t members : {1, 2})
    EXPECT_EQ(bits(train(*sim, members, 4, true).weights), bits(train(*sim, members, 4).weights));
}

// The cuts and the dropped elements differ from step to step and from member to member, or the other tests prove nothing.
TEST_F(MicroBatches, DrawAnewForEachStepAndMember) {
  Context context("cpu");
  const Outcome one = train(context, 1, 4);
  const std::size_t of_step = one.kept.size() / kSteps;
  EXPECT_NE(std::vector<float>(one.kept.begin(), one.kept.begin() + static_cast<std::ptrdiff_t>(of_step)),
            std::vector<float>(one.kept.begin() + static_cast<std::ptrdiff_t>(of_step),
                               one.kept.begin() + static_cast<std::ptrdiff_t>(2 * of_step)));
  EXPECT_EQ(std::count(one.kept.begin(), one.kept.end(), 0.0f) + std::count(one.kept.begin(), one.kept.end(), 2.0f),
            std::ssize(one.kept));
  const Outcome two = train(context, 2, 4);
  EXPECT_NE(two.images[0], two.images[1]);
}

}  // namespace
}  // namespace alma::test
