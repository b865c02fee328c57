// Growth by Firefly: against PyTorch (tests/golden/firefly.py), and what it may not change.
#include "models/firefly.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "engine/batch.h"
#include "engine/ops_elementwise.h"
#include "engine/ops_loss.h"
#include "engine/optim.h"
#include "models/mixture.h"
#include "models/mlp.h"
#include "models/module_types.h"
#include "models/vgg.h"
#include "tests/engine/gradient_check.h"
#include "tests/engine/passes.h"
#include "tests/simulator.h"
#include "tests/tolerances.h"

namespace alma::test {
namespace {

std::vector<float> wave(std::int64_t count, double phase, double scale = 1, double shift = 0) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < count; ++i)
    values.push_back(static_cast<float>(shift + scale * std::sin(0.7 * static_cast<double>(i) + phase)));
  return values;
}

void fill(const Tensor& tensor, double phase, double scale = 1, double shift = 0) {
  tensor.assign(std::span<const float>(wave(tensor.count(), phase, scale, shift)));
}

struct Case {
  const char* name;
  std::unique_ptr<Module> model;
  std::int64_t rows, inputs;
  int batches;
  std::int64_t elites;
};

Case mlp_case(Context& context) {
  Case c{"mlp", make_mlp(context, {6, 4, 3, 1, 2}, RandomStream(0, "unused")), 8, 6, 6, 4};
  double i = 0;
  for (const auto& [name, parameter] : named_parameters(*c.model))
    fill(parameter, 1.3 * i++, 0.8, parameter.shape().rank() == 1 ? 0.4 : 0);
  return c;
}

Case vgg_case(Context& context) {
  Case c{
      "vgg", make_vgg19(context, {.channels = 3, .width = 2, .classes = 3, .conv_bias = false}, RandomStream(0, "unused")),
      4,     3072,
      2,     19};
  double phase = 0;
  for (const auto& [name, tensor] : named_state(*c.model)) {
    if (name.ends_with("running_mean")) {
      fill(tensor, phase + 0.9, 0.1);
    } else if (name.ends_with("running_var")) {
      fill(tensor, phase + 1.2, 0.2, 1);
      ++phase;
    } else if (name == "output.weight") {
      fill(tensor, phase + 0.1);
    } else if (name == "output.bias") {
      fill(tensor, phase + 0.2);
    } else if (name.find("norm") == std::string::npos) {
      fill(tensor, phase, 0.35);
    } else if (name.ends_with("weight")) {
      fill(tensor, phase + 0.3, 0.2, 1);
    } else {
      fill(tensor, phase + 0.6, 0.3, 0.2);
    }
  }
  return c;
}

Batch batch_of(Context& context, const Case& c, int t) {
  std::vector<std::int32_t> labels;
  for (std::int32_t i = 0; i < c.rows; ++i) labels.push_back((i + t) % 3);
  return {Tensor::from(context, {c.rows, c.inputs}, wave(c.rows * c.inputs, 0.2 * t)),
          Tensor::from(context, {c.rows}, labels)};
}

void expect_near(const std::vector<float>& found, const std::vector<double>& expected, double allowed, const char* what) {
  ASSERT_EQ(found.size(), expected.size()) << what;
  for (std::size_t i = 0; i < found.size(); ++i)
    EXPECT_NEAR(found[i], expected[i], allowed * std::max(1.0, std::abs(expected[i]))) << what << ", " << i;
}

void follow_pytorch(Context& context, Case c) {
  const auto golden = nlohmann::json::parse(std::ifstream(ALMA_SOURCE_DIR "/tests/golden/firefly.json")).at(c.name);
  const std::vector<std::string> names = [&] {
    std::vector<std::string> all;
    for (const auto& [name, tensor] : named_state(*c.model)) all.push_back(name);
    return all;
  }();
  RandomStream init(0, "unused");
  Firefly firefly(*c.model, {.candidates = 3}, init);
  double phase = 50;
  for (const auto& [name, candidate] : firefly.candidates()) fill(candidate, phase++, 0.1);
  expect_near(evaluated(*c.model, batch_of(context, c, 100).x).to_vector<float>(), golden["before"], 1e-4, "before");
  Optimizer optimizer(firefly.candidates(), RmspropRule{.alpha = 0.9, .momentum = 0.1}, 1e-3);
  for (int t = 0; t < c.batches; ++t) {
    const Batch batch = batch_of(context, c, t);
    const Tensor loss = softmax_cross_entropy(firefly.forward(batch.x), batch.y);
    EXPECT_NEAR(loss.item(), golden["losses"][static_cast<std::size_t>(t)].get<double>(), 1e-4 * loss.item()) << t;
    (loss + firefly.penalty()).backward();
    optimizer.step();
  }
  for (const auto& [name, parameter] : named_parameters(*c.model)) EXPECT_FALSE(parameter.grad().defined()) << name;
  for (int t = 0; t < c.batches; ++t) {
    const Batch batch = batch_of(context, c, t);
    softmax_cross_entropy(firefly.forward(batch.x), batch.y).backward();
  }
  const auto scores = firefly.scores(c.batches);
  ASSERT_EQ(scores.size(), golden["scores"].size());
  for (std::size_t l = 0; l < scores.size(); ++l) {
    const auto expected = golden["scores"][l].get<std::vector<double>>();
    ASSERT_EQ(scores[l].size(), expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(scores[l][i], expected[i], 2e-5) << l << ", " << i;
  }
  EXPECT_EQ(firefly.grow(scores, c.elites), c.elites + 1);
  // The same names in the same order, of other sizes.
  const auto state = named_state(*c.model);
  ASSERT_EQ(state.size(), names.size());
  std::size_t layer = 0;
  for (std::size_t i = 0; i < state.size(); ++i) {
    EXPECT_EQ(state[i].first, names[i]);
    if (!state[i].first.ends_with("weight") || state[i].second.shape().rank() == 1 || layer == scores.size()) continue;
    const auto candidates = static_cast<std::int64_t>(golden["split"][layer].size() + golden["new"][layer].size());
    EXPECT_EQ(state[i].second.dim(0), static_cast<std::int64_t>(scores[layer].size()) - 3 + candidates) << state[i].first;
    double sum = 0;
    for (const float value : state[i].second.to_vector<float>()) sum += value;
    EXPECT_NEAR(sum, golden["sums"][layer].get<double>(), 1e-4) << state[i].first;
    ++layer;
  }
  expect_near(evaluated(*c.model, batch_of(context, c, 100).x).to_vector<float>(), golden["after"], 1e-4, "after");
  const Batch first = batch_of(context, c, 0);
  Pass pass;
  softmax_cross_entropy(c.model->forward(first.x, pass), first.y).backward();
  layer = 0;
  for (auto& [name, parameter] : named_parameters(*c.model)) {
    if (parameter.shape().rank() == 1 || layer == scores.size()) continue;
    double sum = 0;
    for (const float value : parameter.grad().to_vector<float>()) sum += std::abs(value);
    const double expected = golden["gradients"][layer++].get<double>();
    EXPECT_NEAR(sum, expected, 1e-3 * expected) << name;
  }
  for (auto& [name, parameter] : named_parameters(*c.model)) parameter.clear_grad();
  // It can be saved, made again and trained.
  std::size_t bytes = 0;
  for (const auto& [name, tensor] : state) bytes += tensor.bytes();
  const auto again = module_types().make(context, c.model->structure(), bytes);
  copy_tensors(state, named_state(*again));
  const Batch batch = batch_of(context, c, 0);
  EXPECT_EQ(evaluated(*again, batch.x).to_vector<float>(), evaluated(*c.model, batch.x).to_vector<float>());
  softmax_cross_entropy(trained(*c.model, batch.x), batch.y).backward();
  for (const auto& [name, parameter] : named_parameters(*c.model)) EXPECT_TRUE(parameter.grad().defined()) << name;
}

TEST(Firefly, OfAnMlpFollowsPyTorch) { follow_pytorch(cpu(), mlp_case(cpu())); }
TEST(Firefly, OfVgg19FollowsPyTorch) { follow_pytorch(cpu(), vgg_case(cpu())); }
TEST(Firefly, InTheSimulatorFollowsPyTorch) {
  const auto sim = open_simulator();
  if (!sim) GTEST_SKIP() << no_simulator;
  follow_pytorch(*sim, mlp_case(*sim));
  follow_pytorch(*sim, vgg_case(*sim));
}

// The figures' networks: 135 h^2 + 69 h + 10 parameters without biases in the convolutions.
TEST(Firefly, NetworksOfTheFiguresHaveNoBiasInConvolutions) {
  for (const auto& [h, parameters] : {std::pair{4, 2'446}, std::pair{16, 35'674}}) {
    const auto model =
        make_vgg19(cpu(), {.channels = 3, .width = h, .classes = 10, .conv_bias = false}, RandomStream(0, "test"));
    EXPECT_EQ(count_parameters(*model), parameters);
  }
}

// Splits without a direction and nothing new: the function stays the same.
TEST(Firefly, ASplitAloneChangesNothing) {
  for (const auto make : {mlp_case, vgg_case}) {
    Case c = make(cpu());
    RandomStream init(1, "test");
    Firefly firefly(*c.model, {.candidates = 3}, init);
    for (const auto& [name, candidate] : firefly.candidates()) fill(candidate, 0, 0);
    const Batch batch = batch_of(cpu(), c, 7);
    const auto before = evaluated(*c.model, batch.x).to_vector<float>();
    const std::vector<double> expected(before.begin(), before.end());
    expect_near(firefly.forward(batch.x).to_vector<float>(), expected, 1e-5, "with candidates");
    std::vector<std::vector<double>> scores;
    const std::int64_t neurons = firefly.neurons();
    for (const auto& [name, candidate] : firefly.candidates())
      if (name.ends_with("split")) {
        scores.emplace_back(static_cast<std::size_t>(candidate.dim(0)), -1.0);
        scores.back().resize(scores.back().size() + 3, 1.0);
      }
    EXPECT_EQ(firefly.grow(scores, neurons - 1), neurons);  // each of them, in two
    expect_near(evaluated(*c.model, batch.x).to_vector<float>(), expected, 1e-5, "grown");
    RandomStream other(1, "test");
    EXPECT_EQ(Firefly(*c.model, {.candidates = 3}, other).neurons(), 2 * neurons);
  }
}

// Scores with which the first `chosen` candidates of the place in front of hidden layer `layer` win, and nothing else.
std::vector<std::vector<double>> scores_of_place(const Firefly& firefly, std::size_t layer, std::int64_t candidates,
                                                 std::int64_t chosen) {
  std::vector<std::vector<double>> scores;
  for (const std::int64_t count : firefly.counts()) scores.emplace_back(static_cast<std::size_t>(count), 1.0);
  for (auto& score :
       std::span(scores[layer]).last(static_cast<std::size_t>(candidates)).first(static_cast<std::size_t>(chosen)))
    score = -1;
  return scores;
}

// A network with a new layer computes what the network with these candidates did, whether or not its other layers have grown
// too; can be saved, made again, trained and grown once more.
TEST(Firefly, ANewLayerComputesWhatItsCandidatesDid) {
  for (const bool width : {false, true}) {
    for (const auto make : {mlp_case, vgg_case}) {
      Case c = make(cpu());
      const std::size_t place = std::string(c.name) == "mlp" ? 1 : 5;
      RandomStream init(1, "test");
      Firefly firefly(*c.model, {.candidates = 3, .width = width, .new_layers = 1}, init);
      const Batch batch = batch_of(cpu(), c, 7);
      double phase = 50;
      for (const auto& [name, candidate] :
           firefly.candidates())  // splits without direction, new neurons without outgoing weights
        fill(candidate, phase++, name.find("before") != std::string::npos || name.ends_with(".new") ? 0.5 : 0);
      for (const auto& [name, candidate] : firefly.candidates()) {  // of the places, this one alone goes on
        if (name.ends_with("before.outgoing") && !name.starts_with(std::to_string(place) + '.')) fill(candidate, 0, 0);
      }
      const auto expected = firefly.forward(batch.x).to_vector<float>();
      const auto before = evaluated(*c.model, batch.x).to_vector<float>();
      EXPECT_NE(before, expected) << c.name;
      const std::size_t tensors = named_state(*c.model).size();
      auto scores = scores_of_place(firefly, place, 3, 3);
      if (width)  // beside it, two splits and a new neuron of the layer before
        for (const std::size_t i : {std::size_t{0}, std::size_t{1}, scores[place - 1].size() - (place > 1 ? 4 : 1)})
          scores[place - 1][i] = -1;
      const std::int64_t grown = width ? 6 : 3;
      ASSERT_EQ(firefly.grow(scores, grown - 1), grown) << c.name;
      EXPECT_EQ(named_state(*c.model).size(), tensors + (place == 1 ? 2 : 5)) << c.name;
      const auto near = [&](const Tensor& y, double allowed, const char* what) {
        expect_near(y.to_vector<float>(), {expected.begin(), expected.end()}, allowed, what);
      };
      near(evaluated(*c.model, batch.x), 1e-5, c.name);
      ASSERT_EQ(firefly.wants_statistics(), place > 1);
      if (firefly.wants_statistics())
        for (int t = 0; t < 4; ++t) firefly.learn_statistics(batch_of(cpu(), c, t).x);
      near(evaluated(*c.model, batch.x), 1e-4, c.name);
      std::size_t bytes = 0;
      for (const auto& [name, tensor] : named_state(*c.model)) bytes += tensor.bytes();
      const auto again = module_types().make(cpu(), c.model->structure(), bytes);
      copy_tensors(named_state(*c.model), named_state(*again));
      EXPECT_EQ(evaluated(*again, batch.x).to_vector<float>(), evaluated(*c.model, batch.x).to_vector<float>());
      softmax_cross_entropy(trained(*again, batch.x), batch.y).backward();
      for (const auto& [name, parameter] : named_parameters(*again)) EXPECT_TRUE(parameter.grad().defined()) << name;
      Firefly second(*c.model, {.candidates = 3, .width = width, .new_layers = 1}, init);
      ASSERT_EQ(second.grow(scores_of_place(second, place, 3, 2), 1), 2) << c.name;
      EXPECT_EQ(named_state(*c.model).size(), tensors + 2 * (place == 1 ? 2 : 5)) << c.name;
    }
  }
}

// A new layer without new neurons of an effect does not disturb training either: its normalisation undoes itself.
TEST(Firefly, ANewLayerIsTheIdentityInTrainingToo) {
  Case c = vgg_case(cpu());
  const Batch batch = batch_of(cpu(), c, 7);
  const auto expected = trained(*c.model->clone(cpu()), batch.x).to_vector<float>();
  RandomStream init(1, "test");
  Firefly firefly(*c.model, {.candidates = 3, .width = false, .new_layers = 1}, init);
  for (const auto& [name, candidate] : firefly.candidates())
    if (name.ends_with("outgoing")) fill(candidate, 0, 0);
  ASSERT_EQ(firefly.grow(scores_of_place(firefly, 1, 3, 1), 0), 1);
  firefly.learn_statistics(batch.x);
  // The layer in front of it normalises by the batch now and by running statistics then, so that the values shift a little.
  expect_near(trained(*c.model, batch.x).to_vector<float>(), {expected.begin(), expected.end()}, 2e-2, "in training");
}

// Gradients of a network whose layers have grown to different widths and in depth, in f64; VGG19's are PyTorch's above.
TEST(Firefly, AGrownNetworkHasTheGradientsOfDifferences) {
  const auto model = make_mlp(cpu(), {6, 4, 3, 1, 2}, RandomStream(0, "test"), DType::f64);
  RandomStream random(1, "test");
  Firefly firefly(*model, {.candidates = 2, .new_layers = 1}, random);
  std::vector<std::vector<double>> scores;
  for (const std::int64_t count : firefly.counts()) {
    scores.emplace_back();
    for (std::int64_t i = 0; i < count; ++i) scores.back().push_back(random.uniform());
  }
  ASSERT_EQ(firefly.grow(scores, 10), 11);
  std::vector<Tensor> parameters;
  for (const auto& [name, parameter] : named_parameters(*model)) {
    std::vector<double> values = parameter.to_vector<double>();
    for (double& value : values) value += 0.1 * random.normal();  // away from the bend of ReLU
    parameter.assign(std::span<const double>(values));
    parameters.push_back(parameter);
  }
  ASSERT_EQ(parameters.size(), 8U);
  const Tensor x = random_tensor({3, 6}, 1);
  expect_gradient([&](const std::vector<Tensor>&) { return trained(*model, x); }, parameters);
}

// Of the places, as many as may be become layers: those of the lowest scores in sum.
TEST(Firefly, AddsNoMoreLayersThanItMay) {
  for (const std::int64_t most : {1, 2, 16}) {
    Case c = vgg_case(cpu());
    RandomStream init(1, "test");
    Firefly firefly(*c.model, {.candidates = 3, .width = false, .new_layers = most}, init);
    std::vector<std::vector<double>> scores;
    double score = 0;
    for (const std::int64_t count : firefly.counts()) scores.emplace_back(static_cast<std::size_t>(count), score -= 1);
    EXPECT_EQ(firefly.grow(scores, 44), 3 * std::min<std::int64_t>(most, 15));
    int layers = 0;
    std::string last;
    for (const auto& [name, tensor] : named_state(*c.model))
      if (name.find("new.") != std::string::npos && name.ends_with("conv.weight")) ++layers, last = name;
    EXPECT_EQ(layers, std::min<std::int64_t>(most, 15));
    EXPECT_EQ(last.rfind("block.4.", 0), 0U) << last;
  }
}

TEST(Firefly, RefusesWhatIsNoChain) {
  RandomStream init(1, "test");
  const auto mixture = make_mlp(cpu(), {6, 4, 3, 2, 2}, RandomStream(0, "test"));
  expect_error([&] { Firefly(*mixture, {}, init); }, {"[firefly]", "does not fit into a chain"});
  const auto none = make_mlp(cpu(), {6, 4, 3, 1, 0}, RandomStream(0, "test"));
  expect_error([&] { Firefly(*none, {}, init); }, {"[firefly] a network without hidden layers"});
  const auto model = make_mlp(cpu(), {6, 4, 3, 1, 1}, RandomStream(0, "test"));
  expect_error([&] { Firefly(*model, {.width = false, .new_layers = 1}, init); },
               {"between hidden layers, of which there is one"});
  Firefly firefly(*model, {.candidates = 3}, init);
  expect_error([&] { firefly.grow({std::vector<double>(7)}, 7); }, {"7 of 7 candidates"});
}

}  // namespace
}  // namespace alma::test
