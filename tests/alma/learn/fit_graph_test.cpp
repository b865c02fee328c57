// Captured training steps in the simulator: the launches and the bits of steps that are done one by one.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "alma/learn/fit.h"
#include "data/synthetic.h"
#include "models/mlp.h"
#include "tests/alma/learn/training.h"
#include "tests/simulator.h"

namespace alma::test {
namespace {

class FitGraphInTheSimulator : public ::testing::Test {
 protected:
  void SetUp() override {
    context_ = open_simulator();
    if (!context_) GTEST_SKIP() << no_simulator;
    data_ = make_synthetic_images({.train = 160, .test = 1});
    images_ = upload_samples(*context_, data_.train, data_.mean, data_.std);
    split_ = first_images(140, 160);
    settings_.rule = AdamRule{};
    settings_.learning_rate = 0.01;
    settings_.batch_size = 64;  // 21 steps: 64, 64 and 12 samples
    settings_.max_epochs = 7;
  }
  std::unique_ptr<Module> model() { return make_mlp(*context_, {784, 4, 10, 2, 2}, RandomStream(5, "test")); }

  struct Outcome {
    std::string weights;  // of the best epoch
    std::vector<std::string> paths;
    std::vector<std::vector<std::string>> launches;  // of each step that ends no epoch
    FitResult result;
  };
  Outcome train(bool graph) {
    const auto note = simulator_function<void(int)>("alma_sim_note_launches");
    const auto count = simulator_function<std::size_t()>("alma_sim_noted_launches");
    const auto noted = simulator_function<const char*(std::size_t)>("alma_sim_noted_launch");
    settings_.graph = graph;
    const auto trained = model();
    Outcome outcome;
    Fit fit = fit_of(*trained, *images_, split_, settings_, 9, "update 1");
    note(1);
    outcome.result = run(fit, [&](const FitProgress&) {
      std::vector<std::string>& step = outcome.launches.emplace_back();
      for (std::size_t i = 0; i < count(); ++i) step.emplace_back(noted(i));
      outcome.paths.push_back(bits(named_parameters(*trained)) + fit.state(0).dump());
      note(1);
    });
    note(0);
    outcome.weights = bits(named_parameters(*trained));
    return outcome;
  }
  void expect_same(const Outcome& a, const Outcome& b) {
    ASSERT_EQ(a.paths.size(), 21u);
    ASSERT_EQ(b.paths.size(), 21u);
    for (std::size_t step = 0; step < 21; ++step) {
      EXPECT_EQ(a.paths[step], b.paths[step]) << "weights and state after step " << step;
      EXPECT_EQ(a.launches[step], b.launches[step]) << "step " << step;
      EXPECT_GT(a.launches[step].size(), 5u);
    }
    EXPECT_EQ(a.weights, b.weights);
    EXPECT_EQ(a.result.best, b.result.best);
    EXPECT_TRUE(a.result.cost.macs == b.result.cost.macs && a.result.cost.flops == b.result.cost.flops &&
                a.result.cost.bytes == b.result.cost.bytes);
  }

  std::unique_ptr<Context> context_;
  ImageData data_;
  std::shared_ptr<const Samples> images_;
  MegaBatch split_;
  FitSettings settings_;
};

TEST_F(FitGraphInTheSimulator, HasTheLaunchesAndTheBitsOfEagerSteps) {
  const Outcome graph = train(true);
  expect_same(graph, train(false));
  EXPECT_NE(graph.weights, bits(named_parameters(*model()))) << "it has learned";
}

TEST_F(FitGraphInTheSimulator, EveryOptimizerReplays) {
  for (const OptimizerRule& rule :
       {OptimizerRule{SgdRule{.momentum = 0.9}}, OptimizerRule{AdadeltaRule{}}, OptimizerRule{RmspropRule{}}}) {
    settings_.rule = rule;
    expect_same(train(true), train(false));
  }
}

TEST_F(FitGraphInTheSimulator, IsCleanUnderAllChecks) {
  const auto set_checks = simulator_function<void(unsigned)>("alma_sim_set_checks");
  const auto checks = simulator_function<unsigned()>("alma_sim_checks")();
  set_checks(7);  // memcheck, racecheck, streams
  images_ = upload_samples(*context_, data_.train, data_.mean, data_.std);
  const Outcome graph = train(true), eager = train(false);
  set_checks(checks);
  expect_same(graph, eager);
}

TEST_F(FitGraphInTheSimulator, WeightsThatAreRestoredBetweenStepsAreThoseThatItReplaysOn) {
  const auto path = [&](bool graph) {
    settings_.graph = graph;
    const auto trained = model(), other = make_mlp(*context_, {784, 4, 10, 2, 2}, RandomStream(6, "other"));
    int step = 0;
    std::string all;
    run(fit_of(*trained, *images_, split_, settings_, 9, "update 1"), [&](const FitProgress&) {
      if (++step == 9) copy_tensors(named_parameters(*other), named_parameters(*trained));
      all += bits(named_parameters(*trained));
    });
    return all;
  };
  EXPECT_EQ(path(true), path(false));
}

TEST_F(FitGraphInTheSimulator, GoesOnFromASavedStepToTheSameBits) {
  const Outcome whole = train(false);
  settings_.graph = true;
  struct Stop {};
  for (const int stop : {1, 2, 11}) {
    const auto first = model(), second = model();
    std::vector<NamedTensor> saved;
    Fit before = fit_of(*first, *images_, split_, settings_, 9, "update 1");
    int done = 0;
    EXPECT_THROW(run(before,
                     [&](const FitProgress&) {
                       if (++done == stop) throw Stop{};
                     }),
                 Stop);
    for (const auto& [name, tensor] : before.tensors(0)) saved.emplace_back(name, tensor.clone());
    copy_tensors(named_parameters(*first), named_parameters(*second));
    Fit after = fit_of(*second, *images_, split_, settings_, 9, "update 1");
    after.restore(0, saved, before.state(0));
    run(after, [](const FitProgress&) {});
    EXPECT_EQ(bits(named_parameters(*second)), whole.weights) << "stopped after step " << stop;
  }
}

}  // namespace
}  // namespace alma::test
