// Firefly: its schedule, what a growth does to the loss, and that neither pauses nor depth change what a run is.
#include "alma/learn/neuron_growth.h"

#include <gtest/gtest.h>

#include <map>

#include "alma/learn/evaluate.h"
#include "alma/learn/kinds.h"
#include "models/mlp.h"
#include "models/vgg.h"
#include "tests/alma/learn/training.h"

namespace alma::test {
namespace {

// At update t the network has int(ratio * neurons) + 1 more, with the ratio of the official code.
TEST(NeuronGrowth, FollowsTheSchedule) {
  EXPECT_NEAR(growth_ratio({}, 1), 0.6, 1e-12);
  EXPECT_NEAR(growth_ratio({}, 2), 2.2 / 1.6 - 1, 1e-12);
  EXPECT_NEAR(growth_ratio({}, 9), 6.4 / 5.8 - 1, 1e-12);
  EXPECT_NEAR(growth_ratio({.ratio = 0.25}, 3), 1.75 / 1.5 - 1, 1e-12);
  Context context("cpu");
  for (const char* by : {"scores", "random"}) {
    Config config = small_config();
    config.learner.method = "ff";
    config.learner.grow_by = by;
    config.learner.wait = 2;  // five updates
    config.model.experts = 1;
    const Trained run = run_to_end(config, context);
    std::int64_t neurons = 16;
    for (std::int64_t t = 1; t < 5; ++t)
      neurons += static_cast<std::int64_t>(growth_ratio({}, t) * static_cast<double>(neurons)) + 1;
    std::map<std::string, Tensor> tensors;
    for (const auto& [name, tensor] : run.tensors) tensors[name] = tensor;
    const std::int64_t first = tensors.at("member.0.model.hidden.0.weight").dim(0),
                       second = tensors.at("member.0.model.hidden.1.weight").dim(0);
    EXPECT_EQ(first + second, neurons) << by;
    EXPECT_EQ(run.records.back().params, 785 * first + (first + 1) * second + 10 * second + 10) << by;
    EXPECT_TRUE(run.records.back().inference_macs == static_cast<Count>(784 * first + first * second + 10 * second)) << by;
  }
}

double mean_loss(Module& model, const Samples& samples) {
  Context& context = named_state(model).at(0).second.context();
  return evaluate(model, samples, all_indices(context, samples.count())).loss();
}

// From the same trained network, by the same number of neurons: the loss right after the growth. By chance 9 of 10 seeds
// would be won with a probability of .011.
void expect_better_than_random(const Samples& samples, const MegaBatch& data, const NeuronGrowth& growth,
                               double learning_rate, int epochs,
                               const std::function<std::unique_ptr<Module>(RandomStream)>& make) {
  int wins = 0;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    const auto model = make(RandomStream(seed, "test"));
    FitSettings settings = fit_settings({.optimizer = "sgd", .lr = learning_rate, .batch_size = 32, .max_epochs = epochs});
    run(fit_of(*model, samples, data, settings, seed, "test"), [](const FitProgress&) {});
    const auto other = model->clone(named_state(*model).at(0).second.context());
    RandomStream random(seed, "growth"), same(seed, "growth");
    grow_neurons(*model, samples, data, growth, 1, random);
    NeuronGrowth control = growth;
    control.random = true;
    grow_neurons(*other, samples, data, control, 1, same);
    wins += mean_loss(*model, samples) < mean_loss(*other, samples);
  }
  EXPECT_GE(wins, 9) << (growth.width ? "width" : "depth");
}

constexpr NeuronGrowth kWidth{.candidates = 8, .batch_size = 32},
    kDepth{.candidates = 8, .width = false, .new_layers = 1, .batch_size = 32};

TEST(NeuronGrowth, LowersTheLossMoreThanRandomGrowthOnAnMlp) {
  Context context("cpu");
  const Config config = small_config();
  const ImageData data = load_data(config);
  const auto samples = upload_samples(context, data.train, data.mean, data.std);
  for (const NeuronGrowth& growth : {kWidth, kDepth})
    expect_better_than_random(*samples, first_images(300, 300), growth, 0.1, 3, [&](RandomStream init) {
      return make_mlp(context, {784, 8, 10, 1, 2}, init);
    });
}
TEST(NeuronGrowth, LowersTheLossMoreThanRandomGrowthOnVgg19) {
  Context context("cpu");
  const auto samples = colour_images(context, 256);
  // Sizes at which what is gained is far above what roundings make of sixteen layers' batch statistics.
  for (const auto& [growth, width] : {std::pair{kWidth, 4}, std::pair{kDepth, 6}})
    expect_better_than_random(
        *samples, first_images(256, 256), growth, 0.01, 2, [&context, channels = width](RandomStream init) {
          return make_vgg19(context, {.channels = 3, .width = channels, .classes = 10, .conv_bias = false}, init);
        });
}

// New layers in a run: as many as asked for, and it goes on learning.
TEST(NeuronGrowth, InDepthAddsLayers) {
  Context context("cpu");
  Config config = small_config();
  config.learner.method = "ff";
  config.learner.wait = 2;  // five updates
  config.model.experts = 1;
  for (const char* where : {"depth", "both"}) {
    config.learner.grow_in = where;
    const Trained run = run_to_end(config, context);
    std::int64_t layers = 0;
    for (const auto& [name, tensor] : run.tensors) layers += name.ends_with("weight");
    EXPECT_LE(layers, 3 + 4) << where;
    EXPECT_TRUE(layers == 3 + 4 || std::string(where) != "depth");
    EXPECT_LT(run.records.back().error, run.records.front().error) << where;
  }
}

// A run that is told to stop while its network grows saves what it was, and grows again.
TEST(NeuronGrowth, CanBeInterrupted) {
  Context context("cpu");
  Config config = small_config();
  config.model.experts = 1;
  const ImageData data = load_data(config);
  const auto samples = upload_samples(context, data.train, data.mean, data.std);
  const MegaBatchStream stream(300, 10, 0.1, 432);
  const auto batch = [&](std::int64_t update) { return collect(stream, 5 * update, 5 * update + 5, update == 1); };
  struct Stop {};
  for (const char* method : {"ff", "dash"}) {
    config.learner.method = method;
    const auto straight = make_learner(config, context, describe_input(data)),
               stopped = make_learner(config, context, describe_input(data)),
               resumed = make_learner(config, context, describe_input(data));
    const auto go_on = [](const FitProgress&) {};
    straight->update(0, *samples, batch(0), go_on);
    stopped->update(0, *samples, batch(0), go_on);
    const std::string before = bits(stopped->tensors());
    int calls = 0;
    EXPECT_THROW(stopped->update(1, *samples, batch(1),
                                 [&](const FitProgress& fit) {
                                   EXPECT_EQ(fit.samples, 0) << method;
                                   if (++calls == 2) throw Stop{};
                                 }),
                 Stop);
    EXPECT_EQ(bits(stopped->tensors()), before) << method;
    resumed->load(stopped->tensors(), stopped->state());
    straight->update(1, *samples, batch(1), go_on);
    resumed->update(1, *samples, batch(1), go_on);
    EXPECT_EQ(bits(resumed->tensors()), bits(straight->tensors())) << method;
  }
}

}  // namespace
}  // namespace alma::test
