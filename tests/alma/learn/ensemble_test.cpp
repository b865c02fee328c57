// Ens, UMix and gEns: who trains on what, what it costs, and that neither threads nor pauses change a bit.
#include <gtest/gtest.h>

#include "models/mlp.h"
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

TEST(Ens, BaggingDrawsWithReplacement) {
  Config config = config_of("ens", 2);
  Context context("cpu");
  const Trained whole = run_to_end(config, context);
  config.learner.bagging = true;
  const Trained bagged = run_to_end(config, context);
  EXPECT_NE(bits(whole.tensors), bits(bagged.tensors));
  EXPECT_TRUE(whole.records.back().train_macs == bagged.records.back().train_macs) << "as many samples";
}

TEST(Ens, HowMembersCombineChangesTheJudgementAlone) {
  Config config = config_of("ens", 3);
  config.stream.synthetic_train = 1000;
  Context context("cpu");
  const Trained mean = run_to_end(config, context);
  for (const char* combine : {"logits", "vote"}) {
    config.learner.combine = combine;
    const Trained other = run_to_end(config, context);
    EXPECT_EQ(bits(other.tensors), bits(mean.tensors)) << combine;
    EXPECT_NE(*other.records.back().loss, *mean.records.back().loss) << combine;
    EXPECT_NEAR(other.records.back().error, mean.records.back().error, 0.15) << combine;
  }
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
  expect_refused("/models", 7, "number");
  expect_refused("/members", 3, "2 models, \"members\" says 3");
  expect_refused("/models/0/count", 1, "1 models");
  expect_refused("/models/0/count", 1'000'000'000'000, "bytes are left");
  expect_refused("/models/0/count", "2", "must be number");
  expect_refused("/models/0/structure", {{"type", "max_pool"}}, "without tensors");
  expect_refused("/models/0/structure/type", "sequence", "no module is of type");
  expect_refused("/models/0/structure/modules/2/module/out", 1 << 30, "bytes are left");
  expect_refused("/models/0/structure/modules/2/module/out", 9, "another model");
  EXPECT_NO_THROW(learner->load(learner->tensors(), state)) << "a refused state changes nothing";
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
