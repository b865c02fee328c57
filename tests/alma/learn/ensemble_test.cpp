// Ens, UMix and gEns: who trains on what, what it costs, and that neither threads nor pauses change a bit.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <set>

#include "alma/learn/ensemble.h"
#include "alma/learn/kinds.h"
#include "alma/learn/named_tensors.h"
#include "models/mlp.h"
#include "tests/alma/learn/points.h"
#include "tests/alma/learn/training.h"
#include "tests/engine/gradient_check.h"

namespace alma::test {
namespace {

// Of the models of small_config(): 2 experts of width 8.
constexpr std::int64_t kParameters = 2 * (784 * 8 + 8) + 784 * 2 + 2 + 2 * (8 * 8 + 8) + 8 * 2 + 2 + 8 * 10 + 10;
constexpr std::uint64_t kMacs = 784 * 2 + 2 * 784 * 8 + 8 * 2 + 2 * 8 * 8 + 8 * 10;

Config config_of(const std::string& method, std::int64_t members) {
  Config config = small_config();
  config.learner.method = method;
  config.learner.members = members;
  config.learner.wait = 5;  // two updates
  return config;
}

std::vector<NamedTensor> model_of(const Trained& trained, int member) {
  std::vector<NamedTensor> model;
  const std::string prefix = "member." + std::to_string(member) + ".model.";
  for (const auto& [name, tensor] : trained.tensors)
    if (name.starts_with(prefix)) model.emplace_back(name.substr(prefix.size()), tensor);
  return model;
}

TEST(Ens, MembersAreSingleModelsWithStreamsOfTheirOwn) {
  const Config config = config_of("ens", 3);
  Context context("cpu");
  const Trained ensemble = run_to_end(config, context);
  ASSERT_EQ(ensemble.records.size(), 10u);
  for (const MegaBatchRecord& r : ensemble.records) {
    EXPECT_EQ(r.params, 3 * kParameters);
    EXPECT_TRUE(r.inference_macs == 3 * kMacs);
    EXPECT_TRUE(r.train_macs == 3 * kMacs * 27 * static_cast<std::uint64_t>(r.t / 5 * 5) * 4) << r.t;
  }
  // The first is SM with the same seed; the third by hand.
  EXPECT_EQ(bits(model_of(ensemble, 0)), bits(model_of(run_to_end(config_of("sm", 1), context), 0)));
  const ImageData data = load_data(config);
  const auto images = upload_samples(context, data.train, data.mean, data.std);
  const MegaBatchStream stream(300, 10, 0.1, 432);
  const auto third = make_mlp(context, {784, 8, 10, 2, 2}, RandomStream(0, "initialisation, member 3"));
  for (std::int64_t u = 0; u < 2; ++u)
    run(fit_of(*third, *images, collect(stream, 5 * u, 5 * u + 5, false), fit_settings(config.train), 0,
               "update " + std::to_string(u + 1) + ", member 3"),
        [](const FitProgress&) {});
  EXPECT_EQ(bits(model_of(ensemble, 2)), bits(named_parameters(*third)));
  EXPECT_NE(bits(model_of(ensemble, 0)), bits(model_of(ensemble, 1)));
}

/// Points that remember which of them each update of each member was trained on, in order.
class Recorded final : public Samples {
 public:
  Recorded(Context& context, std::int64_t count) : points_(context, count, DType::f32) {}
  std::int64_t count() const override { return points_.count(); }
  std::int64_t classes() const override { return points_.classes(); }
  Measure measure() const override { return points_.measure(); }
  Batch batch(const Tensor& indices, const Draw& draw) const override {
    if (!draw.members.empty()) {  // a training step: the key names the update and the member
      std::vector<std::int32_t>& all = trained[draw.members[0].key];
      for (const std::int32_t sample : indices.to_vector<std::int32_t>()) all.push_back(sample);
    }
    return points_.batch(indices, draw);
  }
  Tensor example(Context& context) const override { return points_.example(context); }
  std::int64_t evaluation_batch() const override { return points_.evaluation_batch(); }

  mutable std::map<std::uint64_t, std::vector<std::int32_t>> trained;

 private:
  Points points_;
};

/// What two updates of two members, two epochs each, train on: of the samples 100 .. 999 once an epoch, or a bag of them.
std::map<std::uint64_t, std::vector<std::int32_t>> trained_samples(bool bagging, std::uint64_t seed) {
  Context context("cpu");
  const Recorded samples(context, 1000);
  EnsembleSettings settings;
  settings.fit = fit_settings({.optimizer = "sgd", .batch_size = 64, .max_epochs = 2});
  settings.seed = seed;
  settings.members = 2;
  settings.bagging = bagging;
  const auto learner = make_ensemble(context, settings, [](Context& where, const std::string& purpose, std::uint64_t i) {
    return make_mlp(where, {Points::kFeatures, 4, Points::kFeatures, 1, 1}, RandomStream(0, purpose, i));
  });
  MegaBatch data;
  for (std::int32_t i = 0; i < 1000; ++i) (i < 100 ? data.validation : data.train).push_back(i);
  for (std::int64_t update = 0; update < 2; ++update) learner->update(update, samples, data, [](const FitProgress&) {});
  return samples.trained;
}

constexpr std::size_t kBag = 900;

/// The two epochs of one member's update, sorted.
std::pair<std::vector<std::int32_t>, std::vector<std::int32_t>> epochs_of(const std::vector<std::int32_t>& trained) {
  std::vector<std::int32_t> first(trained.begin(), trained.begin() + kBag), second(trained.begin() + kBag, trained.end());
  std::sort(first.begin(), first.end());
  std::sort(second.begin(), second.end());
  return {first, second};
}

TEST(Ens, BaggingDrawsWithReplacementForEachMemberAndUpdate) {
  const auto drawn = trained_samples(true, 0);
  ASSERT_EQ(drawn.size(), 4u) << "two members, two updates";
  std::set<std::vector<std::int32_t>> bags;
  for (const auto& [key, trained] : drawn) {
    ASSERT_EQ(trained.size(), 2 * kBag) << "as many samples as without bagging";
    const auto [bag, second_epoch] = epochs_of(trained);
    EXPECT_EQ(bag, second_epoch) << "drawn once an update";
    EXPECT_GE(bag.front(), 100) << "validation samples are not trained on";
    EXPECT_LT(bag.back(), 1000);
    // Each sample is left out with probability (1 - 1/n)^n, about 1/e; the count's variance is n (1/e - 2/e^2).
    const auto different = static_cast<double>(std::set<std::int32_t>(bag.begin(), bag.end()).size());
    const double n = kBag, e = std::exp(1.0);
    EXPECT_NEAR(n - different, n / e, 5 * std::sqrt(n * (1 / e - 2 / (e * e)))) << "five standard deviations";
    bags.insert(bag);
  }
  EXPECT_EQ(bags.size(), 4u) << "no two bags are alike";
  EXPECT_EQ(trained_samples(true, 0), drawn) << "the seed decides";
  for (const auto& [key, trained] : trained_samples(true, 1))
    EXPECT_FALSE(bags.contains(epochs_of(trained).first)) << "another seed draws others";
}

TEST(Ens, WithoutBaggingEachEpochHasEachSampleOnce) {
  std::vector<std::int32_t> all(kBag);
  std::iota(all.begin(), all.end(), 100);
  const auto trained = trained_samples(false, 0);
  ASSERT_EQ(trained.size(), 4u);
  for (const auto& [key, samples] : trained) EXPECT_EQ(epochs_of(samples), std::pair(all, all));
}

/// The error of members that combine as `combine` says, from the probabilities of each for every test image.
double combined_error(const std::vector<std::vector<float>>& members, const std::string& combine,
                      const std::vector<std::int32_t>& labels) {
  constexpr std::size_t classes = 10;
  double wrong = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    std::vector<double> score(classes, 0.0);
    for (const std::vector<float>& member : members) {
      const float* p = &member[i * classes];
      for (std::size_t c = 0; c < classes; ++c)
        score[c] += combine == "logits" ? std::log(static_cast<double>(p[c])) : static_cast<double>(p[c]);
      if (combine == "vote") score[static_cast<std::size_t>(std::max_element(p, p + classes) - p)] += 100;
    }
    wrong += std::max_element(score.begin(), score.end()) - score.begin() != labels[i];
  }
  return wrong / static_cast<double>(labels.size());
}

TEST(Ens, HowMembersCombineChangesTheJudgementAlone) {
  Config config = config_of("ens", 3);
  config.stream.synthetic_train = 1000;
  Context context("cpu");
  const ImageData data = load_data(config);
  std::vector<std::vector<float>> members;
  std::optional<Trained> before;
  std::set<double> losses;
  for (const char* combine : {"probabilities", "logits", "vote"}) {
    config.learner.combine = combine;
    const Trained trained = run_to_end(config, context);
    if (!before) {
      before = trained;
      for (int member = 0; member < 3; ++member) {
        const auto model = make_mlp(context, {784, 8, 10, 2, 2}, RandomStream(0, "any"));
        copy_tensors(model_of(trained, member), named_state(*model));
        members.push_back(test_probabilities(*model, context, data));
      }
    }
    EXPECT_EQ(bits(trained.tensors), bits(before->tensors)) << combine;
    EXPECT_DOUBLE_EQ(trained.records.back().error, combined_error(members, combine, data.test.labels)) << combine;
    losses.insert(*trained.records.back().loss);
  }
  EXPECT_EQ(losses.size(), 3u) << "each way has its own loss";
}

TEST(UMixLearner, IsOneModelUnderOneLoss) {
  Config config = config_of("umix", 3);
  Context context("cpu");
  const Trained sum = run_to_end(config, context);
  EXPECT_EQ(sum.records.back().params, 3 * kParameters);
  EXPECT_TRUE(sum.records.back().inference_macs == 3 * kMacs);
  EXPECT_TRUE(sum.records.back().train_macs == 3 * kMacs * 270 * 4);
  config.learner.combine = "mean";
  EXPECT_NE(bits(run_to_end(config, context).tensors), bits(sum.tensors));
  config.learner.combine = "sum";
  EXPECT_EQ(bits(run_to_end(config, context).tensors), bits(sum.tensors)) << "sum is what the figures used";
}

// A saved learner whose models are not those of the configuration that loads it.
TEST(Ens, ModelsAreMadeFromWhatTheStateSaysOfThem) {
  Config config = config_of("ens", 3);
  Context context("cpu");
  const ImageData data = load_data(config);
  const auto samples = image_task(config, data).train(context);
  const auto made = [&] { return make_learner(config, context, describe_input(data)); };
  const auto saved = made();
  const Tensor x = Tensor::full(context, {2, 784}, DType::f32, 0.5);
  const nlohmann::json state = nlohmann::json::parse(saved->state().dump());
  config.model.width = 12;
  config.model.experts = 1;
  const auto loaded = made();
  EXPECT_NE(loaded->parameters(), saved->parameters());
  EXPECT_FALSE(loaded->macs_per_sample(*samples) == saved->macs_per_sample(*samples));
  loaded->load(saved->tensors(), state);
  EXPECT_EQ(loaded->parameters(), 3 * kParameters);
  EXPECT_TRUE(loaded->macs_per_sample(*samples) == 3 * kMacs);
  EXPECT_EQ(bits(loaded->tensors()), bits(saved->tensors()));
  EXPECT_EQ(loaded->predict(x).to_vector<float>(), saved->predict(x).to_vector<float>());
  EXPECT_EQ(loaded->state(), state);

  // A state from before structures were saved is read as one of the configuration's models.
  nlohmann::json old = state;
  old.erase("models");
  expect_error([&] { made()->load(saved->tensors(), old); }, {"no tensor", "hidden.0"});
  config = config_of("ens", 3);
  const auto from_old = made();
  from_old->load(saved->tensors(), old);
  EXPECT_EQ(bits(from_old->tensors()), bits(saved->tensors()));
}

TEST(Ens, AStateThatTellsOfNoModelsIsRefused) {
  const Config config = config_of("ens", 2);
  Context context("cpu");
  const ImageData data = load_data(config);
  const auto learner = make_learner(config, context, describe_input(data));
  const nlohmann::json state = learner->state();
  const auto expect_refused = [&](const char* place, const nlohmann::json& value, const char* part) {
    nlohmann::json damaged = state;
    damaged[nlohmann::json::json_pointer(place)] = value;
    try {
      learner->load(learner->tensors(), damaged);
      ADD_FAILURE() << "no error for " << value << " in " << place;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::data) << error.what();
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
  };
  expect_refused("/models", nlohmann::json::array(), "0 models, \"members\" says 2");
  expect_refused("/models", 7, "expected a JSON object");
  expect_refused("/members", 3, "2 models, \"members\" says 3");
  expect_refused("/models/0/count", 1, "1 models");
  expect_refused("/models/0/count", 1'000'000'000'000, "expected an integer");
  expect_refused("/models/0/count", "2", "expected an integer");
  expect_refused("/models/0/structure", {{"type", "max_pool"}}, "without tensors");
  expect_refused("/models/0/structure/type", "sequence", "no module is of type");
  expect_refused("/models/0/structure/modules/2/module/out", 1 << 30, "bytes are left");
  expect_refused("/models/0/structure/modules/2/module/out", 9, "another model");
  for (const nlohmann::json& fits : {nlohmann::json(7), nlohmann::json::array(), nlohmann::json{{}, {}, {}}})
    expect_refused("/fits", fits, "\"fits\" must be an array of 2");
  EXPECT_NO_THROW(learner->load(learner->tensors(), state)) << "a refused state changes nothing";
}

TEST(Ens, TensorsOfAnotherTypeAreOfAnotherModel) {
  Context context("cpu");
  const auto named = [&](const char* name, DType dtype) {
    return std::vector<NamedTensor>{{name, Tensor::zeros(context, {2}, dtype)}};
  };
  EXPECT_EQ(without_prefix("a.", named("a.x", DType::f32), named("x", DType::f32)).size(), 1u);
  try {
    without_prefix("a.", named("a.x", DType::f64), named("x", DType::f32));
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::data);
    EXPECT_EQ(error.what(), std::string("the checkpoint is of another model: 'a.x' is f64 [2], expected f32 [2]"));
  }
}

// Each of them is whole, and they fit into one another for other images or other classes.
TEST(Ens, ModelsForOtherInputsAreRefused) {
  const Config config = config_of("ens", 2);
  Context context("cpu");
  const InputDescription input = describe_input(load_data(config));
  const auto learner = make_learner(config, context, input);
  EXPECT_NO_THROW(require_takes(input, *learner, context));
  InputDescription larger = input, finer = input;
  larger.height += 1;
  finer.classes += 1;
  for (const InputDescription& other : {larger, finer}) {
    learner->load(make_learner(config, context, other)->tensors(), make_learner(config, context, other)->state());
    EXPECT_NO_THROW(require_takes(other, *learner, context));
    try {
      require_takes(input, *learner, context);
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::data);
      EXPECT_NE(std::string(error.what()).find("the checkpoint is of another model"), std::string::npos) << error.what();
    }
  }
}

TEST(GEns, GrowsTrainsTheNewestAndFreezesTheRest) {
  Config config = config_of("gens", 1);
  config.learner.wait = 2;  // five updates
  Context context("cpu");
  const Trained grown = run_to_end(config, context);
  for (const MegaBatchRecord& r : grown.records) {
    const std::int64_t models = std::max<std::int64_t>(1, r.t / 2);
    EXPECT_EQ(r.params, models * kParameters) << r.t;
    EXPECT_TRUE(r.inference_macs == static_cast<std::uint64_t>(models) * kMacs) << r.t;
    EXPECT_TRUE(r.train_macs == kMacs * 27 * static_cast<std::uint64_t>(r.t / 2 * 2) * 4) << "the new model's only, " << r.t;
  }
  // The first model stays as the first update has left it.
  const ImageData data = load_data(config);
  const auto images = upload_samples(context, data.train, data.mean, data.std);
  const auto first = make_mlp(context, {784, 8, 10, 2, 2}, RandomStream(0, "initialisation"));
  run(fit_of(*first, *images, collect(MegaBatchStream(300, 10, 0.1, 432), 0, 2, false), fit_settings(config.train), 0,
             "update 1"),
      [](const FitProgress&) {});
  EXPECT_EQ(bits(model_of(grown, 0)), bits(named_parameters(*first)));
  EXPECT_NE(bits(model_of(grown, 4)), bits(model_of(grown, 3)));
}

TEST(GEns, NewModelsStartFromTheNewestOnesOrAtRandom) {
  Config config = config_of("gens", 2);
  config.train.optimizer = "sgd";
  config.train.lr = 0;  // models stay where they start
  Context context("cpu");
  const Trained warm = run_to_end(config, context);
  EXPECT_EQ(bits(model_of(warm, 2)), bits(model_of(warm, 0)));
  EXPECT_EQ(bits(model_of(warm, 3)), bits(model_of(warm, 1)));
  config.learner.from_scratch = true;
  const Trained fresh = run_to_end(config, context);
  EXPECT_EQ(bits(model_of(fresh, 0)), bits(model_of(warm, 0)));
  EXPECT_NE(bits(model_of(fresh, 2)), bits(model_of(fresh, 0)));
}

TEST(GEns, FinetunesTheNewestModelsBetweenGrowths) {
  Config config = config_of("gens", 1);
  config.learner.wait = 2;
  config.learner.grow_every = 3;  // updates 0 .. 4: a new model at 3
  Context context("cpu");
  const Trained grown = run_to_end(config, context);
  for (const MegaBatchRecord& r : grown.records) EXPECT_EQ(r.params, (r.t < 8 ? 1 : 2) * kParameters) << r.t;
  Config single = config_of("sm", 1);
  single.learner.wait = 2;
  EXPECT_EQ(grown.records[6].error, run_to_end(single, context).records[6].error) << "SM until then";
}

TEST(Ensembles, AnyNumberOfThreadsGivesTheSameBits) {
  for (const char* method : {"ens", "gens"}) {
    Config config = config_of(method, 3);
    config.learner.replay = true;
    config.train.max_epochs = 30;  // long enough for several rounds
    Context one("cpu", 1);
    const Trained expected = run_to_end(config, one);
    for (const int threads : {2, 3, 4}) {
      Context context("cpu", threads);
      const Trained outcome = run_to_end(config, context);
      EXPECT_EQ(bits(outcome.tensors), bits(expected.tensors)) << method << ", " << threads << " threads";
      for (std::size_t i = 0; i < expected.records.size(); ++i) {
        EXPECT_EQ(outcome.records[i].error, expected.records[i].error);
        EXPECT_TRUE(outcome.records[i].train_macs == expected.records[i].train_macs);
        EXPECT_EQ(outcome.records[i].val_accuracy, expected.records[i].val_accuracy);
      }
    }
  }
}

}  // namespace
}  // namespace alma::test
