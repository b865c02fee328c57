// gMoE: which experts are split, what that does to training (against PyTorch, tests/golden/growth.py), and that neither
// pauses nor the device change what grows.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "alma/learn/evaluate.h"
#include "alma/learn/expert_growth.h"
#include "alma/learn/kinds.h"
#include "engine/optim.h"
#include "models/mixture.h"
#include "models/mlp.h"
#include "tests/alma/learn/training.h"
#include "tests/alma/learn/waves.h"
#include "tests/engine/gradient_check.h"
#include "tests/engine/passes.h"
#include "tests/simulator.h"
#include "tests/tolerances.h"

namespace alma::test {
namespace {

Batch batch_of(const Samples& samples, Context& context, std::int32_t t) {
  return samples.batch(Tensor::from(context, {8}, batch_number(t)), {});
}

// Three growths of the 2-expert MLP, and five steps of Adadelta before, between and after them.
void follow_pytorch(Context& context, SplitRule rule) {
  const auto golden = nlohmann::json::parse(std::ifstream(ALMA_SOURCE_DIR "/tests/golden/growth.json"))
                          .at(rule == SplitRule::usage ? "usage" : "loss");
  const Waves samples(context);
  const auto model = make_mlp(context, {Waves::kInputs, 4, Waves::kClasses, 2, 2}, RandomStream(0, "unused"));
  const auto first = named_parameters(*model);
  for (std::size_t i = 0; i < first.size(); ++i) fill(first[i], static_cast<double>(i));
  RandomStream init(0, "growth");
  std::size_t losses = 0;
  for (std::int32_t growth = 0; growth < 4; ++growth) {
    if (growth > 0) {
      grow_experts(*model, samples, {{}, batch_number(100 + growth)}, {.rule = rule}, init);
      double phase = 20.0 * growth;
      for (const NamedTensor& parameter : named_parameters(*model))
        if (parameter.first.find("split." + std::to_string(growth - 1) + ".gate") != std::string::npos)
          fill(parameter, phase++);
    }
    EXPECT_EQ(count_parameters(*model), golden["parameters"][static_cast<std::size_t>(growth)]);
    Optimizer optimizer(named_parameters(*model), AdadeltaRule{}, 1.0);
    for (std::int32_t t = 5 * growth; t < 5 * growth + 5; ++t) {
      const Batch batch = batch_of(samples, context, t);
      const Tensor loss = softmax_cross_entropy(trained(*model, batch.x), batch.y);
      EXPECT_NEAR(loss.item(), golden["losses"][losses++].get<double>(), tolerance::golden_f32) << "step " << t;
      loss.backward();
      optimizer.step();
    }
  }
  const auto logits = evaluated(*model, batch_of(samples, context, 200).x).to_vector<float>();
  for (std::size_t i = 0; i < logits.size(); ++i)
    EXPECT_NEAR(static_cast<double>(logits[i]), golden["logits"][i].get<double>(), tolerance::golden_f32) << i;
}

TEST(ExpertGrowth, ByUsageFollowsPyTorch) {
  Context context("cpu");
  follow_pytorch(context, SplitRule::usage);
}
TEST(ExpertGrowth, ByLossFollowsPyTorch) {
  Context context("cpu");
  follow_pytorch(context, SplitRule::loss);
}
TEST(ExpertGrowth, InTheSimulatorFollowsPyTorch) {
  const auto sim = open_simulator();
  if (!sim) GTEST_SKIP() << no_simulator;
  follow_pytorch(*sim, SplitRule::usage);
}

// Two experts of one layer that a gate tells apart by the sign of the first input; expert 1 is right, expert 0 always wrong.
class TwoExperts : public testing::Test {
 protected:
  TwoExperts() {
    std::map<std::string, Tensor> state;
    for (const auto& [name, tensor] : named_state(*model)) state[name] = tensor;
    const auto set = [&](const std::string& name, std::vector<float> values) {
      state.at(name).assign(std::span<const float>(values));
    };
    for (auto& [name, tensor] : state) set(name, std::vector<float>(static_cast<std::size_t>(tensor.count())));
    set("hidden.0.gate.weight", {50, 0, 0, 0, 0, 0, -50, 0, 0, 0, 0, 0});  // expert 0: x0 > 0
    set("hidden.0.expert.0.bias", {1, 0});
    set("hidden.0.expert.1.bias", {0, 1});
    set("output.weight", {5, 0, 0, 5, 0, 0});  // expert 0 says class 0, expert 1 class 1
  }
  /// The expert that is split by a rule, on samples of batch 0 with this many positive and negative first inputs; the labels
  /// are those for which only expert 1 is right.
  std::int64_t split(SplitRule rule, std::size_t positive, std::size_t negative) {
    MegaBatch data;
    for (const auto& [wanted, sign] : {std::pair{positive, 1}, std::pair{negative, -1}})
      for (std::int32_t i = 0, found = 0; found < static_cast<std::int32_t>(wanted); ++i) {
        const std::int32_t row = i % 8, t = i / 8;
        const float x0 = wave(48, 0.2 * t)[static_cast<std::size_t>(6 * row)];
        if (sign * x0 > 0.3F && (row + t) % 3 == 1) data.validation.push_back(i), ++found;
      }
    RandomStream init(1, "growth");
    auto copy = model->clone(context);
    grow_experts(*copy, samples, data, {.rule = rule}, init);
    return copy->structure()["modules"][0]["module"]["splits"][0]["expert"].get<std::int64_t>();
  }

  Context context{"cpu"};
  Waves samples{context};
  std::unique_ptr<Module> model = make_mlp(context, {6, 2, 3, 2, 1}, RandomStream(0, "test"));
};

TEST_F(TwoExperts, UsageSplitsTheBusiestAndLossTheWorst) {
  EXPECT_EQ(split(SplitRule::usage, 6, 2), 0);
  EXPECT_EQ(split(SplitRule::usage, 2, 6), 1);
  EXPECT_EQ(split(SplitRule::loss, 6, 2), 0);
  EXPECT_EQ(split(SplitRule::loss, 2, 6), 0);
  EXPECT_EQ(split(SplitRule::usage, 4, 4), 0);  // the first among equals
}

TEST_F(TwoExperts, WithoutValidationSamplesTrainingSamplesDecide) {
  RandomStream init(1, "growth"), same(1, "growth");
  const MegaBatch data{batch_number(3), {}}, swapped{{}, batch_number(3)};
  const auto a = model->clone(context), b = model->clone(context);
  grow_experts(*a, samples, data, {}, init);
  grow_experts(*b, samples, swapped, {}, same);
  EXPECT_EQ(a->structure(), b->structure());
  EXPECT_EQ(bits(named_state(*a)), bits(named_state(*b)));
}

TEST_F(TwoExperts, RandomSplitsEveryExpertAtSomeSeed) {
  std::set<std::int64_t> split;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    RandomStream init(seed, "growth");
    const auto copy = model->clone(context);
    grow_experts(*copy, samples, {{}, batch_number(0)}, {.rule = SplitRule::random}, init);
    split.insert(copy->structure()["modules"][0]["module"]["splits"][0]["expert"].get<std::int64_t>());
  }
  EXPECT_EQ(split, (std::set<std::int64_t>{0, 1}));
}

TEST_F(TwoExperts, ALayerWithoutRoomStaysAsItIs) {
  RandomStream init(1, "growth");
  const ExpertGrowth growth{.into = 3, .most_experts = 5};
  for (const std::int64_t expected : {4, 4}) {
    grow_experts(*model, samples, {{}, batch_number(0)}, growth, init);
    EXPECT_EQ(mixtures_of(*model)[0]->experts(), expected);
  }
}

TEST(ExpertGrowth, OfAModelWithoutMixturesIsRefused) {
  Context context("cpu");
  const Waves samples(context);
  const auto model = make_mlp(context, {6, 2, 3, 1, 1}, RandomStream(0, "test"));
  RandomStream init(1, "growth");
  expect_error([&] { grow_experts(*model, samples, {{}, batch_number(0)}, {}, init); }, {"no mixture of experts"});
}

// Of the samples that come to a new hard gate half go each way, so that both copies have something to learn.
TEST(ExpertGrowth, ANewHardGateSendsHalfOfItsSamplesEachWay) {
  Context context("cpu");
  const Waves samples(context);
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    const auto model = make_mlp(context, {6, 8, 3, 2, 2, Gating::hard}, RandomStream(seed, "test"));
    MegaBatch data;
    for (std::int32_t i = 0; i < 60; ++i) data.validation.push_back(17 * i);
    const auto visits = [&] {  // of the experts of each layer
      std::vector<std::vector<float>> all;
      Pass pass{.wants_usage = true};
      model->forward(samples.batch(Tensor::from(context, {60}, data.validation), {}).x, pass);
      for (const Usage& used : pass.usage) {
        all.emplace_back(static_cast<std::size_t>(used.scores.dim(1)));
        const auto weights = used.scores.to_vector<float>();
        for (std::size_t i = 0; i < weights.size(); ++i) all.back()[i % all.back().size()] += weights[i];
      }
      return all;
    };
    RandomStream init(seed, "growth");
    for (int growth = 0; growth < 3; ++growth) {
      const auto before = visits();
      grow_experts(*model, samples, data, {}, init);
      const auto after = visits();
      for (std::size_t layer = 0; layer < 2; ++layer) {
        const float most = *std::max_element(before[layer].begin(), before[layer].end()), half = after[layer].back();
        EXPECT_GE(half, std::floor(most / 2) - 1) << seed << ", " << growth;
        EXPECT_LE(half, std::ceil(most / 2)) << seed << ", " << growth;
      }
    }
  }
}

// ---- the learner ----

Config gmoe_config() {
  Config config = small_config();
  config.learner.method = "gmoe";
  config.learner.wait = 2;  // five updates
  config.learner.grow_every = 2;
  return config;
}

TEST(Gmoe, GrowsWhenItShouldAndSaysWhatItCosts) {
  Context context("cpu");
  const Trained run = run_to_end(gmoe_config(), context);
  ASSERT_EQ(run.records.size(), 10u);
  constexpr std::int64_t h = 8, fixed = 2 * h * h + 1584 * h + 1582, growth = 785 * h + 2 * 785 + (h + 1) * h + 2 * (h + 1);
  constexpr std::int64_t macs = 784 * 2 + 2 * 784 * h + h * 2 + 2 * h * h + h * 10, more = 784 * (h + 2) + h * (h + 2);
  std::int64_t trained = 0;
  for (const MegaBatchRecord& r : run.records) {
    const std::int64_t update = r.t / 2, growths = update < 3 ? 0 : update < 5 ? 1 : 2;  // updates 3 and 5 grow
    EXPECT_EQ(r.experts, 2 + growths) << r.t;
    EXPECT_EQ(r.params, fixed + growths * growth) << r.t;
    if (r.updated) trained += 4 * 54 * (macs + growths * more);
    EXPECT_TRUE(r.train_macs == static_cast<Count>(trained)) << r.t;
    EXPECT_TRUE(r.inference_macs == static_cast<Count>(macs + growths * more)) << r.t;
  }
}

// SM's first two updates are the same: the learner is SM until it grows.
TEST(Gmoe, IsASingleModelUntilItGrows) {
  Context context("cpu");
  Config config = gmoe_config();
  config.learner.grow_every = 5;
  const Trained grown = run_to_end(config, context);
  config.learner.method = "sm";
  config.learner.grow_every = 1;
  const Trained fixed = run_to_end(config, context);
  EXPECT_EQ(bits(grown.tensors), bits(fixed.tensors));
}

TEST(Gmoe, TheRulesAndSeedsGrowOtherTrees) {
  Context context("cpu");
  std::set<std::string> all;
  for (const char* rule : {"usage", "loss", "random"}) {
    Config config = gmoe_config();
    config.learner.grow_every = 1;
    config.learner.split = rule;
    all.insert(bits(run_to_end(config, context).tensors));
    config.seed = 1;
    all.insert(bits(run_to_end(config, context).tensors));
  }
  EXPECT_GE(all.size(), 4u);  // usage and loss may agree on every split
}

TEST(Gmoe, OnTheCpuAndInTheSimulatorGrowTheSame) {
  const auto sim = open_simulator();
  if (!sim) GTEST_SKIP() << no_simulator;
  Context cpu("cpu");
  Config config = gmoe_config();
  config.learner.wait = 5;
  config.learner.grow_every = 1;
  config.train.max_epochs = 1;
  for (const char* gate : {"soft", "hard"}) {
    config.learner.gate = gate;
    const Trained here = run_to_end(config, cpu), there = run_to_end(config, *sim);
    ASSERT_EQ(here.tensors.size(), there.tensors.size());
    for (std::size_t i = 0; i < here.records.size(); ++i) {
      EXPECT_EQ(here.records[i].params, there.records[i].params);
      EXPECT_NEAR(here.records[i].error, there.records[i].error, 0.05);  // of 100 images
    }
  }
}

// However many experts there are, a sample goes to one; and it learns.
TEST(Gmoe, WithHardGatesASampleCostsTheGatesOnItsWay) {
  Context context("cpu");
  Config config = gmoe_config();
  config.learner.gate = "hard";
  config.learner.grow_every = 1;
  config.train.max_epochs = 20;
  const Trained run = run_to_end(config, context);
  constexpr std::int64_t h = 8, least = 784 * (1 + h) + h * (1 + h) + 10 * h, gate = 784 + h;
  for (const MegaBatchRecord& r : run.records) {
    EXPECT_EQ(r.experts, 2 + std::max<std::int64_t>(0, r.t / 2 - 1));
    EXPECT_GE(static_cast<double>(r.inference_macs), least);
    EXPECT_LE(static_cast<double>(r.inference_macs), least + 4 * gate);
  }
  EXPECT_LT(run.records.back().error, 0.5 * run.records.front().error);
}

}  // namespace
}  // namespace alma::test
