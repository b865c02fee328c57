// Ensembles on a GPU train as one stacked model: in the simulator, against the same members one by one.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "alma/learn/named_tensors.h"
#include "data/synthetic.h"
#include "models/mlp.h"
#include "models/vgg.h"
#include "tests/alma/learn/training.h"
#include "tests/simulator.h"
#include "tests/tolerances.h"

namespace alma::test {
namespace {

/// k models, and the fit of all of them as a stack or one of each.
struct Members {
  std::vector<std::unique_ptr<Module>> models;
  std::vector<std::unique_ptr<Fit>> fits;

  bool step() const {
    bool any = false;
    for (const auto& fit : fits) {
      if (fit->done()) continue;
      fit->step();
      any = true;
    }
    return any;
  }
  std::pair<Fit*, std::size_t> fit_of(std::size_t i) const {
    return fits.size() == 1 ? std::pair{fits[0].get(), i} : std::pair{fits[i].get(), std::size_t{0}};
  }
  std::vector<NamedTensor> tensors(std::size_t i) const { return fit_of(i).first->tensors(fit_of(i).second); }
  nlohmann::json state(std::size_t i) const { return fit_of(i).first->state(fit_of(i).second); }
  std::vector<FitResult> finish() const {
    std::vector<FitResult> all;
    for (const auto& fit : fits)
      for (const FitResult& result : fit->finish()) all.push_back(result);
    return all;
  }
  std::string bits_of_all() const {
    std::string all;
    for (std::size_t i = 0; i < models.size(); ++i)
      all += bits(named_state(*models[i])) + bits(tensors(i)) + state(i).dump();
    return all;
  }
};

class StackedInTheSimulator : public ::testing::Test {
 protected:
  void SetUp() override {
    context_ = open_simulator();
    if (!context_) GTEST_SKIP() << no_simulator;
    data_ = make_synthetic_images({.train = 180, .test = 1});
    images_ = upload_samples(*context_, data_.train, data_.mean, data_.std);
    split_ = first_images(150, 180);
    settings_.rule = AdadeltaRule{};
    settings_.batch_size = 64;  // 64, 64 and 22 samples
    settings_.max_epochs = 7;
    make_model_ = [](Context& context, std::uint64_t member) {
      return make_mlp(context, {784, 8, 10, 2, 2}, RandomStream(member, "test"));
    };
  }
  /// VGG19 on random images in color, cropped and mirrored.
  void use_vgg(std::int64_t experts) {
    images_ = colour_images(*context_, 20, {.pad = 4, .fill = {-1.9f, -1.9f, -1.9f}, .flip = true});
    split_ = first_images(16, 20);
    settings_.rule = SgdRule{0.9, 1e-4, false};
    settings_.learning_rate = 0.01;
    settings_.batch_size = 8;
    make_model_ = [experts](Context& context, std::uint64_t member) {
      return make_vgg19(context, {3, 4, 10, experts}, RandomStream(member, "test"));
    };
  }
  /// With `views` they are views of a stack that is gone.
  Members members(std::size_t k, bool stacked, bool views = false) {
    Members all;
    for (std::size_t i = 0; i < k; ++i) all.models.push_back(make_model_(*context_, i));
    std::vector<Trainee> trainees;
    std::vector<Module*> models;
    for (std::size_t i = 0; i < k; ++i) {
      models.push_back(all.models[i].get());
      trainees.push_back({*models[i], split_, "update 1, member " + std::to_string(i + 1)});
    }
    if (views) Stack gone(models);
    if (stacked) {
      all.fits.push_back(std::make_unique<Fit>(trainees, *images_, settings_, 9));
    } else {
      for (const Trainee& trainee : trainees)
        all.fits.push_back(std::make_unique<Fit>(std::vector{trainee}, *images_, settings_, 9));
    }
    return all;
  }
  static void expect_near(const std::vector<NamedTensor>& found, const std::vector<NamedTensor>& expected,
                          const std::string& whose) {
    ASSERT_EQ(found.size(), expected.size());
    double worst = 0;
    for (std::size_t t = 0; t < found.size(); ++t) {
      ASSERT_EQ(found[t].first, expected[t].first);
      const auto a = found[t].second.to_vector<float>(), b = expected[t].second.to_vector<float>();
      double difference = 0, largest = 0;
      for (std::size_t i = 0; i < a.size(); ++i) {
        difference = std::max(difference, std::abs(static_cast<double>(a[i]) - b[i]));
        largest = std::max(largest, std::abs(static_cast<double>(b[i])));
      }
      EXPECT_LE(difference, tolerance::devices_after_20_steps * largest) << whose << found[t].first;
      worst = std::max(worst, difference / largest);
    }
    std::ostringstream text;
    text << worst;
    RecordProperty("worst of " + whose, text.str());
  }
  /// Weights, and what they have cost, after so many steps.
  void expect_same_path(std::size_t k, int steps) {
    const Members stacked = members(k, true), single = members(k, false);
    const std::string start = bits(named_state(*stacked.models[0]));
    for (int i = 0; i < steps; ++i) {
      stacked.step();
      single.step();
    }
    EXPECT_NE(bits(named_state(*stacked.models[0])), start);
    for (std::size_t i = 0; i < k; ++i) {
      expect_near(named_state(*stacked.models[i]), named_state(*single.models[i]), std::to_string(i) + ", ");
      const auto a = stacked.state(i), b = single.state(i);
      for (const char* count : {"macs", "flops", "optimizer_steps", "epoch", "step"}) EXPECT_EQ(a[count], b[count]) << count;
      EXPECT_NE(a["macs"], "0");
    }
  }
  /// Without validation, and of one with validation.
  std::pair<std::uint64_t, std::uint64_t> launches_of_a_step(const Members& all) {
    const auto launches = simulator_function<std::uint64_t()>("alma_sim_launches");
    all.step();
    const std::uint64_t before = launches();
    all.step();
    const std::uint64_t after = launches();
    while (all.fits[0]->progress().epoch == 0) all.step();
    while (all.state(0)["step"] != 2) all.step();
    const std::uint64_t before_last = launches();
    all.step();
    EXPECT_EQ(all.fits[0]->progress().epoch, 2);
    return {after - before, launches() - before_last};
  }

  std::unique_ptr<Context> context_;
  ImageData data_;
  std::shared_ptr<const Samples> images_;
  MegaBatch split_;
  FitSettings settings_;
  std::function<std::unique_ptr<Module>(Context&, std::uint64_t)> make_model_;
};

TEST_F(StackedInTheSimulator, TwentyStepsOfMixturesFollowThoseOneByOne) { expect_same_path(3, 20); }

TEST_F(StackedInTheSimulator, AStepOfVgg19FollowsThoseOneByOne) {
  for (const std::int64_t experts : {1, 2}) {
    use_vgg(experts);
    expect_same_path(3, 1);
  }
}

TEST_F(StackedInTheSimulator, FourMembersTakeLittleMoreThanTheLaunchesOfOne) {
  const auto count = [&](const std::string& what) {
    const auto one = launches_of_a_step(members(1, false)), four = launches_of_a_step(members(4, false)),
               stacked = launches_of_a_step(members(4, true));
    EXPECT_EQ(four, (std::pair{4 * one.first, 4 * one.second})) << what;
    for (const auto& [name, a, b] :
         {std::tuple{what, one.first, stacked.first}, std::tuple{what + ", validated", one.second, stacked.second}}) {
      EXPECT_LE(2 * b, 3 * a) << name;
      RecordProperty(name + ": one, stack of four", std::to_string(a) + ", " + std::to_string(b));
    }
  };
  count("mixture MLP");
  use_vgg(1);
  settings_.batch_size = 6;  // 6, 6 and 4 samples
  count("VGG19");
}

TEST_F(StackedInTheSimulator, EveryOptimizerIsStacked) {
  for (const OptimizerRule& rule :
       {OptimizerRule{SgdRule{.momentum = 0.9}}, OptimizerRule{SgdRule{}},
        OptimizerRule{AdamRule{.weight_decay = 1e-4, .decoupled = true}}, OptimizerRule{RmspropRule{.momentum = 0.9}}}) {
    settings_.rule = rule;
    settings_.learning_rate = 0.01;
    expect_same_path(2, 5);
  }
}

TEST_F(StackedInTheSimulator, CapturedStepsHaveTheBitsOfEagerOnes) {
  const auto path = [&](bool graph, int steps) {
    settings_.graph = graph;
    const Members all = members(2, true);
    std::string after;
    for (int i = 0; i < steps; ++i) {
      all.step();
      after += all.bits_of_all();
    }
    return after;
  };
  EXPECT_EQ(path(true, 10), path(false, 10));
  use_vgg(2);
  EXPECT_EQ(path(true, 4), path(false, 4));  // the third is the first that is replayed
}

TEST_F(StackedInTheSimulator, IsCleanUnderAllChecks) {
  const auto set_checks = simulator_function<void(unsigned)>("alma_sim_set_checks");
  const auto checks = simulator_function<unsigned()>("alma_sim_checks")();
  const auto path = [&] {
    const Members all = members(2, true);
    for (int i = 0; i < 4; ++i) all.step();
    return all.bits_of_all();
  };
  const std::string mlp = path();
  set_checks(7);  // memcheck, racecheck, streams
  images_ = upload_samples(*context_, data_.train, data_.mean, data_.std);
  EXPECT_EQ(path(), mlp);
  use_vgg(2);
  settings_.max_epochs = 2;
  path();
  set_checks(checks);
}

// Each has its own patience: who is done is carried along, and ends with its best weights.
TEST_F(StackedInTheSimulator, MembersEndWhenTheirPatienceDoes) {
  settings_.max_epochs = 40;
  settings_.patience = 3;
  const Members stacked = members(4, true), single = members(4, false);
  std::vector<std::string> best(4);
  while (stacked.step())
    for (std::size_t i = 0; i < 4; ++i)
      if (const auto state = stacked.state(i); best[i].empty() && (state["epoch"] == 40 || state["stale_epochs"] == 3))
        best[i] = bits(without_prefix("best.", stacked.tensors(i), named_state(*stacked.models[i])));
  while (single.step()) {
  }
  std::vector<std::int64_t> ends;
  for (std::size_t i = 0; i < 4; ++i)
    EXPECT_NE(bits(named_state(*stacked.models[i])), best[i]) << "it has gone on after its best epoch";
  const std::vector<FitResult> found = stacked.finish(), expected = single.finish();
  for (std::size_t i = 0; i < 4; ++i) {
    const FitResult &a = found[i], &b = expected[i];
    EXPECT_EQ(bits(named_state(*stacked.models[i])), best[i]) << i;
    EXPECT_EQ(a.epochs, b.epochs) << i;
    EXPECT_EQ(a.best, b.best) << i;
    EXPECT_TRUE(a.cost.macs == b.cost.macs && a.cost.flops == b.cost.flops && a.cost.bytes == b.cost.bytes) << i;
    ends.push_back(a.epochs);
  }
  EXPECT_NE(*std::min_element(ends.begin(), ends.end()), *std::max_element(ends.begin(), ends.end()))
      << "or nobody was carried along";
}

TEST_F(StackedInTheSimulator, ALossThatIsNotFiniteNamesTheMember) {
  const Members all = members(3, true);
  named_state(*all.models[1])[0].second.fill(INFINITY);
  try {
    for (int i = 0; i < 3; ++i) all.step();
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::failed);
    EXPECT_NE(std::string(error.what()).find("update 1, member 2, epoch 1, step 1 of 3"), std::string::npos) << error.what();
  }
}

// Their tensors are views of the stack's, and not aligned as their own would be.
TEST_F(StackedInTheSimulator, MembersOutOfStepTrainOneByOne) {
  const Members views = members(3, false, true), single = members(3, false);
  for (const Members* all : {&views, &single}) {
    all->fits[0]->step();
    for (int i = 0; i < 6; ++i) all->step();
  }
  const Members stacked = members(3, true);
  EXPECT_TRUE(stacked.fits[0]->in_step());
  stacked.fits[0]->restore(0, views.tensors(0), views.state(0));
  EXPECT_FALSE(stacked.fits[0]->in_step());
  for (std::size_t i = 1; i < 3; ++i) stacked.fits[0]->restore(i, views.tensors(0), views.state(0));
  EXPECT_TRUE(stacked.fits[0]->in_step());
  for (std::size_t i = 0; i < 3; ++i)
    expect_near(named_state(*views.models[i]), named_state(*single.models[i]), std::to_string(i) + ", ");
}

// ---- the learner ----------------------------------------------------------------------------------------------------

class StackedEnsemble : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    context_ = open_simulator();
    if (!context_) GTEST_SKIP() << no_simulator;
    config_ = small_config();
    config_.learner.method = GetParam();
    config_.learner.members = 3;
    config_.learner.wait = 5;  // two updates of 135 samples
    config_.learner.bagging = true;
    config_.train.batch_size = 64;
    config_.train.max_epochs = 6;
    config_.train.patience = 2;
  }
  std::unique_ptr<Context> context_;
  Config config_;
};

TEST_P(StackedEnsemble, CostsAndLearnsWhatItDoesOnTheCpu) {
  config_.train.patience = 100;
  config_.stream.synthetic_test = 1000;  // so that one image is less than the tolerance
  Context cpu("cpu");
  const Trained stacked = run_to_end(config_, *context_), single = run_to_end(config_, cpu);
  ASSERT_EQ(stacked.records.size(), single.records.size());
  for (std::size_t i = 0; i < stacked.records.size(); ++i) {
    const MegaBatchRecord &a = stacked.records[i], &b = single.records[i];
    EXPECT_EQ(a.params, b.params);
    EXPECT_TRUE(a.train_macs == b.train_macs && a.inference_macs == b.inference_macs) << i;
    EXPECT_TRUE(a.train_flops == b.train_flops) << i;
    EXPECT_EQ(a.epochs, b.epochs);
    EXPECT_NEAR(a.error, b.error, tolerance::devices_error) << i;
  }
}

// A learner that is stopped after any step, saved, loaded and goes on, also with members that are done.
TEST_P(StackedEnsemble, GoesOnFromASavedStepToTheSameBits) {
  const ImageData data = load_data(config_);
  const auto images = upload_samples(*context_, data.train, data.mean, data.std);
  const MegaBatchStream stream(300, 10, 0.1, 432);
  const auto made = [&] { return make_learner(config_, *context_, describe_input(data)); };
  struct Stop {};
  const auto run = [&](int stop) {  // 0: never
    auto learner = made();
    FitResult last;
    int step = 0;
    for (std::int64_t u = 0; u < 2; ++u) {
      const MegaBatch collected = collect(stream, 5 * u, 5 * u + 5, false);
      std::vector<NamedTensor> saved;
      nlohmann::json state;
      const auto save_at_stop = [&](const FitProgress&) {
        if (++step != stop) return;
        for (const auto& [name, tensor] : learner->tensors()) saved.emplace_back(name, tensor.clone());
        state = nlohmann::json::parse(learner->state().dump());
        throw Stop{};
      };
      try {
        last = learner->update(u, *images, collected, save_at_stop);
      } catch (const Stop&) {
        learner = made();
        learner->load(std::move(saved), state);
        last = learner->update(u, *images, collected, save_at_stop);
      }
    }
    return std::tuple{bits(learner->tensors()), learner->state().dump(), last.epochs, to_text(last.cost.macs), step};
  };
  const auto expected = run(0);
  const int steps = std::get<4>(expected);
  EXPECT_GT(steps, 20);
  for (int stop = 1; stop <= steps; stop += 4) EXPECT_EQ(run(stop), expected) << "stopped after " << stop << " of " << steps;
}

// One thread of a cpu trains one member after the other: not in step when it stops.
TEST_P(StackedEnsemble, GoesOnWhereACpuHasStopped) {
  config_.train.patience = 100;
  const ImageData data = load_data(config_);
  const MegaBatch collected = collect(MegaBatchStream(300, 10, 0.1, 432), 0, 5, false);
  Context cpu("cpu");
  const auto there = upload_samples(cpu, data.train, data.mean, data.std),
             here = upload_samples(*context_, data.train, data.mean, data.std);
  const auto first = make_learner(config_, cpu, describe_input(data)),
             second = make_learner(config_, *context_, describe_input(data));
  struct Stop {};
  int step = 0;
  std::vector<NamedTensor> saved;
  nlohmann::json state;
  const auto save = [&](const FitProgress&) {
    if (++step != 4) return;
    for (const auto& [name, tensor] : first->tensors()) saved.emplace_back(name, tensor.clone(*context_));
    state = first->state();
    throw Stop{};
  };
  EXPECT_THROW(first->update(0, *there, collected, save), Stop);
  second->load(std::move(saved), state);
  const FitResult result = second->update(0, *here, collected, [](const FitProgress&) {});
  const FitResult expected =
      make_learner(config_, cpu, describe_input(data))->update(0, *there, collected, [](const FitProgress&) {});
  EXPECT_TRUE(result.cost.macs == expected.cost.macs && result.cost.flops == expected.cost.flops);
  EXPECT_EQ(result.epochs, expected.epochs);
  EXPECT_EQ(result.best, expected.best);
}

INSTANTIATE_TEST_SUITE_P(Methods, StackedEnsemble, ::testing::Values("ens", "gens"),
                         [](const auto& method) { return std::string(method.param); });

}  // namespace
}  // namespace alma::test
