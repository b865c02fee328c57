// The baselines that are later than the paper: what each does to the weights or to the data, by hand or by PyTorch
// (tests/golden/dash.py).
#include "alma/learn/later_learners.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "alma/learn/ensemble.h"
#include "alma/learn/evaluate.h"
#include "alma/learn/kinds.h"
#include "engine/nn_images.h"
#include "engine/ops_conv.h"
#include "engine/ops_elementwise.h"
#include "engine/ops_images.h"
#include "models/mlp.h"
#include "models/vgg.h"
#include "tests/alma/learn/training.h"
#include "tests/alma/learn/waves.h"
#include "tests/engine/gradient_check.h"
#include "tests/tolerances.h"

namespace alma::test {
namespace {

std::map<std::string, std::vector<float>> values_of(Module& model) {
  std::map<std::string, std::vector<float>> values;
  for (const auto& [name, tensor] : named_state(model)) values[name] = tensor.to_vector<float>();
  return values;
}

TEST(ShrinkPerturb, MixesParametersAndTakesTheOtherTensorsOfTheNewModel) {
  const auto model = make_vgg19(cpu(), {3, 4, 10}, RandomStream(1, "test"));
  for (auto& [name, tensor] : named_state(*model))
    if (name.find("running") != std::string::npos)
      tensor.assign(std::span<const float>(std::vector<float>(static_cast<std::size_t>(tensor.count()), 7)));
  const auto fresh = make_vgg19(cpu(), {3, 4, 10}, RandomStream(2, "test"));
  const auto before = values_of(*model), noise = values_of(*fresh);
  shrink_and_perturb(*model, *fresh, 0.4, 0.1);
  for (const auto& [name, after] : values_of(*model))
    for (std::size_t i = 0; i < after.size(); ++i) {
      const bool mixed = name.find("running") == std::string::npos;
      const double expected = mixed ? 0.4 * before.at(name)[i] + 0.1 * noise.at(name)[i] : noise.at(name)[i];
      ASSERT_NEAR(after[i], expected, 1e-6) << name;
    }
  const auto other = make_mlp(cpu(), {6, 4, 3}, RandomStream(2, "test"));
  expect_error([&] { shrink_and_perturb(*model, *other, 0.4, 0.1); }, {"[shrink_and_perturb]", "a new one of 6"});
}

// ---- DASH ----

/// Two convolutions and a Linear, of images 2 x 3.
class SmallConvolutions final : public Module {
 public:
  explicit SmallConvolutions(Context& context) {
    RandomStream init(0, "unused");
    first_ = std::make_unique<Conv2d>(context, 1, 3, 3, true, init);
    second_ = std::make_unique<Conv2d>(context, 3, 1, 3, true, init);
    output_ = std::make_unique<Linear>(context, 6, 3, false, init);
  }
  Tensor forward(const Tensor& x, Pass& pass) override {
    const Tensor a = to_layout(first_->forward(images_of(x, 1, 2, 3), pass), Layout::row_major);
    const Tensor b = to_layout(second_->forward(relu(a), pass), Layout::row_major);
    return output_->forward(reshape(b, {x.dim(0), 6}), pass);
  }
  void children(const ChildVisitor& visitor) override {
    visitor("0", *first_);
    visitor("2", *second_);
    visitor("4", *output_);
  }
  nlohmann::json structure() const override { return {}; }
  std::unique_ptr<Module> clone(Context& context) const override {
    auto copy = std::make_unique<SmallConvolutions>(context);
    copy_tensors(named_state(const_cast<SmallConvolutions&>(*this)), named_state(*copy));
    return copy;
  }

 private:
  std::unique_ptr<Module> first_, second_, output_;
};

void expect_shrunk(Module& model, const std::string& key, const DashSettings& settings) {
  const auto golden = nlohmann::json::parse(std::ifstream(ALMA_SOURCE_DIR "/tests/golden/dash.json")).at(key);
  const auto parameters = named_parameters(model);
  ASSERT_EQ(parameters.size(), golden.size());
  for (std::size_t i = 0; i < parameters.size(); ++i) fill(parameters[i], static_cast<double>(i));
  MegaBatch data;
  for (std::int32_t t = 0; t < 3; ++t)
    for (const std::int32_t sample : batch_number(t)) data.train.push_back(sample);
  data.arrived = 8;
  shrink_by_direction(model, Waves(cpu()), data, settings);
  std::size_t i = 0;
  // The names differ, the order does not: layer by layer, the weight first.
  for (const char* layer : {"0", "2", "4"})
    for (const char* part : {".weight", ".bias"}) {
      const auto expected = golden.at(std::string(layer) + part).get<std::vector<double>>();
      const auto found = parameters[i].second.to_vector<float>();
      ASSERT_EQ(found.size(), expected.size());
      for (std::size_t j = 0; j < found.size(); ++j)
        EXPECT_NEAR(found[j], expected[j], tolerance::golden_f32) << key << ", " << parameters[i].first << ", " << j;
      ++i;
    }
}

TEST(Dash, OfAnMlpIsThatOfPyTorch) {
  const auto model = make_mlp(cpu(), {6, 4, 3, 1, 2}, RandomStream(0, "unused"));
  expect_shrunk(*model, "mlp", {});
  expect_shrunk(*model, "mlp_other", {0.8, 0.05});
}
TEST(Dash, OfConvolutionsIsThatOfPyTorch) {
  SmallConvolutions model(cpu());
  expect_shrunk(model, "conv", {0.3, -1});  // the cosines themselves
}

TEST(Dash, LeavesNormalisationAlone) {
  const auto model = make_vgg19(cpu(), {3, 4, 10}, RandomStream(1, "test"));
  const auto before = values_of(*model);
  const auto images = colour_images(cpu(), 20);
  shrink_by_direction(*model, *images, first_images(20, 20), {});
  for (const auto& [name, after] : values_of(*model)) {
    const bool normalisation = name.find("norm.") != std::string::npos;
    EXPECT_EQ(after == before.at(name), normalisation) << name;
    for (std::size_t i = 0; i < after.size() && !normalisation; ++i)
      EXPECT_LE(std::abs(after[i]), std::abs(before.at(name)[i])) << name;
  }
}

// ---- learners, on a stream of five updates ----

Config config_of(const std::string& method) {
  Config config = small_config();
  config.learner.method = method;
  config.learner.wait = 2;
  return config;
}

// The weights after each update, from a run of SM to that update.
TEST(Averaged, IsTestedWithTheMeanOfTheWeights) {
  Context context("cpu");
  for (const bool moving : {false, true}) {
    Config config = config_of("average");
    config.learner.average = moving ? "moving" : "mean";
    config.learner.average_decay = 0.75;
    const Trained run = run_to_end(config, context);
    const ImageData data = load_data(config);
    const auto images = upload_samples(context, data.train, data.mean, data.std);
    const auto test = upload_samples(context, data.test, data.mean, data.std);
    const MegaBatchStream stream(300, 10, 0.1, 432);
    const auto model = make_mlp(context, {784, 8, 10, 2, 2}, RandomStream(0, "initialisation"));
    const auto average = make_mlp(context, {784, 8, 10, 2, 2}, RandomStream(0, "unused"));
    std::map<std::string, std::vector<double>> mean;
    for (std::int64_t u = 0; u < 5; ++u) {
      alma::test::run(fit_of(*model, *images, collect(stream, 2 * u, 2 * u + 2, false), fit_settings(config.train), 0,
                             "update " + std::to_string(u + 1)),
                      [](const FitProgress&) {});
      for (const auto& [name, tensor] : named_state(*average)) {
        std::vector<double>& values = mean[name];
        const auto weights = values_of(*model).at(name);
        values.resize(weights.size());
        const double share = u == 0 ? 1 : moving ? 0.25 : 1.0 / static_cast<double>(u + 1);
        for (std::size_t i = 0; i < weights.size(); ++i) values[i] += share * (weights[i] - values[i]);
        tensor.assign(std::span<const float>(std::vector<float>(values.begin(), values.end())));
      }
      const Score score = evaluate(*average, *test, all_indices(context, test->count()));
      EXPECT_NEAR(run.records[static_cast<std::size_t>(2 * u + 1)].error, measured(Measure::error, score), 0.011) << u;
    }
    std::map<std::string, Tensor> saved;
    for (const auto& [name, tensor] : run.tensors) saved[name] = tensor;
    for (const auto& [name, values] : mean) {
      const auto found = saved.at("average." + name).to_vector<float>();
      for (std::size_t i = 0; i < found.size(); ++i) ASSERT_NEAR(found[i], values[i], 1e-5) << name;
      EXPECT_EQ(saved.at("member.0.model." + name).to_vector<float>(), values_of(*model).at(name)) << name;
    }
  }
}

std::unique_ptr<Learner> single_model(Context& context, bool steps_of_arrived, int epochs) {
  EnsembleSettings settings;
  settings.fit = fit_settings({.optimizer = "sgd", .batch_size = 10, .max_epochs = epochs});
  settings.steps_of_arrived = steps_of_arrived;
  return make_ensemble(context, settings, [](Context& where, const std::string& purpose, std::uint64_t i) {
    return make_mlp(where, {Waves::kInputs, 2, Waves::kClasses, 1, 1}, RandomStream(0, purpose, i));
  });
}

// Update u brings samples 20 u .. 20 u + 19, of which the last 5 validate.
MegaBatch arrivals(std::int32_t update, bool replay) {
  MegaBatch data;
  for (std::int32_t u = replay ? 0 : update; u <= update; ++u)
    for (std::int32_t i = 0; i < 20; ++i) (i < 15 ? data.train : data.validation).push_back(20 * u + i);
  data.arrived = 15;
  return data;
}

TEST(UniformReplay, TakesTheStepsOfNoReplayFromAllData) {
  Context context("cpu");
  const RecordedWaves samples(context);
  const auto learner = single_model(context, true, 40);
  for (std::int32_t update = 0; update < 5; ++update) {
    samples.steps.clear();
    learner->update(update, samples, arrivals(update, true), [](const FitProgress&) {});
    EXPECT_EQ(samples.steps.size(), 80u);  // two of 10 and 5 samples, 40 times
    std::map<std::int32_t, int> drawn;     // by the update that brought them
    int all = 0;
    for (const auto& step : samples.steps)
      for (const std::int32_t sample : step) ++drawn[sample / 20], ++all;
    ASSERT_EQ(static_cast<std::int32_t>(drawn.size()), update + 1);
    for (const auto& [from, times] : drawn)  // from permutations of all: almost equal
      EXPECT_NEAR(times, static_cast<double>(all) / (update + 1), 15) << update << ", " << from;
    EXPECT_EQ(learner->planned_samples(15 * (update + 1), 15 * update), all);
  }
}

TEST(Reservoir, KeepsAUniformSampleOfWhatHasArrived) {
  Context context("cpu");
  const RecordedWaves samples(context);
  constexpr int kUpdates = 12, kSeeds = 200, kSize = 10;
  std::vector<int> kept(kUpdates);
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    const auto learner = make_reservoir(single_model(context, false, 1), kSize, seed);
    for (std::int32_t update = 0; update < kUpdates; ++update) {
      samples.steps.clear();
      const MegaBatch data = arrivals(update, false);
      learner->update(update, samples, data, [](const FitProgress&) {});
      std::set<std::int32_t> trained;
      for (const auto& step : samples.steps) trained.insert(step.begin(), step.end());
      ASSERT_EQ(trained.size(), update == 0 ? 15u : 25u);  // the new ones, and all of the memory once
      for (const std::int32_t sample : data.train) ASSERT_TRUE(trained.contains(sample));
      for (const std::int32_t sample : data.validation) ASSERT_FALSE(trained.contains(sample));
      EXPECT_EQ(learner->planned_samples(15, 15 * update), static_cast<std::int64_t>(trained.size()));
    }
    const nlohmann::json state = learner->state();
    for (const nlohmann::json& sample : state.at("memory")) ++kept[sample.get<std::size_t>() / 20];
  }
  // Every update has the same share: binomial, about 167 of 2,000, of which 4.5 standard deviations are 56.
  for (int update = 0; update < kUpdates; ++update) EXPECT_NEAR(kept[update], kSeeds * kSize / kUpdates, 56) << update;
}

TEST(Reservoir, OfOtherDataIsRefused) {
  Context context("cpu");
  const Waves samples(context);
  const auto learner = make_reservoir(single_model(context, false, 1), 4, 0);
  nlohmann::json state = learner->state();
  const auto load = [&](const nlohmann::json& memory) {
    state["memory"] = memory;
    state["seen"] = 10;
    learner->load(learner->tensors(), state);
  };
  expect_error(ErrorKind::data, {"\"memory\" must be an array of at most 4"}, [&] { load({1, 2, 3, 4, 5}); });
  expect_error(ErrorKind::data, {"memory"}, [&] { load({-1}); });
  load({5000});
  expect_error(ErrorKind::data, {"memory has sample 5000, there are 2048"},
               [&] { learner->update(1, samples, arrivals(1, false), [](const FitProgress&) {}); });
}

TEST(LaterLearners, RunToTheEndAndLearn) {
  Context context("cpu");
  for (const char* method : {"uniform-replay", "shrink-perturb", "dash", "average", "reservoir"}) {
    Config config = config_of(method);
    config.learner.replay = std::string(method) != "reservoir" && std::string(method) != "average";
    config.learner.memory = 30;
    config.train.max_epochs = 20;
    const Trained run = run_to_end(config, context);
    EXPECT_LT(run.records.back().error, 0.5 * run.records.front().error) << method;
    EXPECT_EQ(run.records.back().params, 2 * 8 * 8 + 1584 * 8 + 1582) << method;
  }
}

}  // namespace
}  // namespace alma::test
