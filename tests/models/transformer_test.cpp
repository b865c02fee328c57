// Transformers against PyTorch (tests/golden/transformer.py), the paper's sizes, and what a checkpoint needs.
#include "models/transformer.h"

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/ops_elementwise.h"
#include "engine/ops_loss.h"
#include "engine/optim.h"
#include "models/module_types.h"
#include "tests/engine/gradient_check.h"
#include "tests/simulator.h"

namespace alma::test {
namespace {

constexpr std::int64_t kVocabulary = 13, kHidden = 12;
constexpr double kBalance = 0.3;

std::vector<double> wave(std::int64_t count, double phase) {
  std::vector<double> values(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = std::sin(0.7 * static_cast<double>(i) + 0.01 * static_cast<double>(i * i % 1009) + phase);
  return values;
}

struct Tokens {
  Tensor x, y;  // [sequences, t], [sequences * t]
};
Tokens tokens_of(Context& context, std::int64_t sequences, std::int64_t t) {
  std::vector<std::int32_t> x, y;
  for (std::int64_t s = 0; s < sequences; ++s)
    for (std::int64_t i = 0; i <= t; ++i) {
      const auto token = static_cast<std::int32_t>((5 * i + i * i / 3 + 4 * s) % kVocabulary);
      if (i < t) x.push_back(token);
      if (i > 0) y.push_back(token);
    }
  return {Tensor::from(context, {sequences, t}, x), Tensor::from(context, {sequences * t}, y)};
}

struct Loss {
  Tensor prediction, balance;  // balance: the sum of the penalties
  Tensor whole() const { return balance.defined() ? prediction + balance : prediction; }
};
Loss loss_of(Module& model, const Tokens& tokens, Purpose purpose) {
  Pass pass{.purpose = purpose};
  Loss loss{softmax_cross_entropy(model.forward(tokens.x, pass), tokens.y), {}};
  for (const Tensor& penalty : pass.penalties) loss.balance = loss.balance.defined() ? loss.balance + penalty : penalty;
  return loss;
}

TransformerSettings small(const nlohmann::json& golden) {
  return {.vocabulary = kVocabulary,
          .sequence = golden["t"],
          .width = 8,
          .layers = golden["layers"],
          .heads = golden["heads"],
          .hidden = kHidden,
          .experts = golden["experts"],
          .switch_every = golden["every"],
          .capacity_factor = golden["factor"],
          .balance = kBalance,
          .gelu = golden["gelu"]};
}

// The values that the golden script gives the parameters.
void fill(Module& model, bool ties) {
  const auto parameters = named_parameters(model);
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const auto& [name, parameter] = parameters[i];
    std::vector<double> values = wave(parameter.count(), static_cast<double>(i));
    const bool norm = name.find("norm") != name.npos, gain = norm && name.ends_with("weight");
    for (double& value : values) value = (gain ? 1 : 0) + (norm ? 0.1 : 0.5) * value;
    if (ties && name.ends_with("router.weight")) std::ranges::fill(values, 0);
    if (parameter.dtype() == DType::f64) {
      parameter.assign(std::span<const double>(values));
    } else {
      const std::vector<float> floats(values.begin(), values.end());
      parameter.assign(std::span<const float>(floats));
    }
  }
}

// Losses and all gradients with dropped tokens, idle experts, ties, one expert, one token, and lengths around 32 and 64.
TEST(Transformer, FollowsPyTorch) {
  const auto golden = nlohmann::json::parse(std::ifstream(ALMA_SOURCE_DIR "/tests/golden/transformer.json"));
  std::int64_t dropped = 0;
  for (const auto& expected : golden["cases"]) {
    SCOPED_TRACE("t " + expected["t"].dump() + ", experts " + expected["experts"].dump());
    Transformer model(cpu(), small(expected), RandomStream(0, "unused"), DType::f64);
    fill(model, expected["ties"]);
    const Tokens tokens = tokens_of(cpu(), expected["sequences"], expected["t"]);
    const Loss loss = loss_of(model, tokens, Purpose::training);
    EXPECT_NEAR(loss.prediction.item(), expected["loss"].get<double>(), tolerance::golden_f64 * 10);
    double balance = 0;
    for (const double one : expected["balances"]) balance += kBalance * one;
    EXPECT_NEAR(loss.balance.defined() ? loss.balance.item() : 0, balance, tolerance::golden_f64 * 10);
    loss.whole().backward();
    const auto parameters = named_parameters(model);
    ASSERT_EQ(parameters.size(), expected["gradients"].size());
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      const auto& [name, parameter] = parameters[i];
      const auto gradient = parameter.grad().to_vector<double>(),
                 weights = wave(parameter.count(), static_cast<double>(i) + 0.5);
      double sum = 0;
      for (std::size_t k = 0; k < gradient.size(); ++k) sum += gradient[k] * weights[k];
      EXPECT_NEAR(sum, expected["gradients"][i].get<double>(), tolerance::golden_f64 * 100) << name;
    }
    NoGrad off;
    EXPECT_NEAR(loss_of(model, tokens, Purpose::evaluation).prediction.item(), expected["evaluation"].get<double>(),
                tolerance::golden_f64 * 10);
    for (const std::int64_t some : expected["dropped"]) dropped += some;
  }
  EXPECT_GT(dropped, 100) << "the cases have to drop tokens";
}

std::int64_t parameters_of(const TransformerSettings& settings) {
  Transformer model(cpu(), settings, RandomStream(0, "test"));
  return count_parameters(model);
}

// paper.md, Section 9: per expert 6.30 M and 28.33 M; base with 4, 8 and 12 experts 64.3, 89.5 and 114.7 M, large 209.8,
// 323.2 and 436.5 M with a vocabulary of 51,200 and positions. Models with few tokens and one layer of each kind are
// counted, and the rest is multiplied, so that no test needs gigabytes.
TEST(Transformer, HasThePapersParameters) {
  struct Size {
    std::int64_t width, layers;
    double expert, totals[3];
  };
  for (const Size& size : {Size{512, 6, 6.30, {64.3, 89.5, 114.7}}, Size{768, 12, 28.33, {209.8, 323.2, 436.5}}}) {
    const auto count = [&](std::int64_t layers, std::int64_t experts, std::int64_t vocabulary) {
      return parameters_of({.vocabulary = vocabulary, .width = size.width, .layers = layers, .experts = experts});
    };
    const std::int64_t none = count(0, 1, 1), dense = count(1, 1, 1) - none, one = count(2, 2, 1) - none - dense,
                       two = count(2, 3, 1) - none - dense, token = count(0, 1, 2) - none;
    EXPECT_EQ(token, size.width);
    const std::int64_t expert = two - one, router = size.width;  // an expert has a row of the router
    EXPECT_NEAR(static_cast<double>(size.layers / 2 * (expert - router)) / 1e6, size.expert, 0.005);
    for (std::int64_t i = 0; i < 3; ++i) {
      const std::int64_t experts = 4 * (i + 1), switched = one + (experts - 2) * expert;
      const std::int64_t total = none + 51'199 * token + size.layers / 2 * (dense + switched);
      EXPECT_NEAR(static_cast<double>(total) / 1e6, size.totals[i], 0.06) << experts << " experts";
    }
  }
}

// language.md, Section 6.3: forward FLOPs of 512 tokens, 2 x 512 x (V d + 12 L d^2) + 4 x 512^2 x d x L, with the whole
// square of scores and without the router: 49.39 G for base, 136.9 G for large. Counted multiply-adds are a polynomial in
// the number of tokens, which short sequences determine.
TEST(Transformer, CostsThePapersFlops) {
  NoGrad off;
  struct Size {
    std::int64_t width, layers;
    double giga, digit;
  };
  for (const Size& size : {Size{512, 6, 49.39, 0.005}, Size{768, 12, 136.9, 0.05}}) {
    const auto macs = [&](std::int64_t layers, std::int64_t vocabulary, std::int64_t t) {
      Transformer model(cpu(), {.vocabulary = vocabulary, .width = size.width, .layers = layers}, RandomStream(0, "test"));
      const std::vector<std::int32_t> zeros(static_cast<std::size_t>(t));
      const Cost before = cpu().cost();
      Pass pass;
      softmax_cross_entropy(model.forward(Tensor::from(cpu(), {1, t}, zeros), pass), Tensor::from(cpu(), {t}, zeros));
      return static_cast<double>((cpu().cost() - before).macs);
    };
    const double output = macs(0, 2, 1) - macs(0, 1, 1);  // of a token, by entry of the vocabulary
    const double one = macs(1, 1, 1) - macs(0, 1, 1), two = macs(1, 1, 2) - macs(0, 1, 2);  // of a layer
    const double square = (two - 2 * one) / 2, linear = one - square;
    EXPECT_EQ(linear, 12.0 * static_cast<double>(size.width * size.width));
    const double t = 512, layers = static_cast<double>(size.layers);
    EXPECT_NEAR(2e-9 * (t * 51'200 * output + layers * (t * linear + t * t * square)), size.giga, size.digit);
  }
}

// With a capacity that drops nothing a Switch layer costs what one expert does, and the router.
TEST(Transformer, ASwitchLayerCostsOneExpert) {
  NoGrad off;
  const Tokens tokens = tokens_of(cpu(), 2, 6);
  const auto macs = [&](std::int64_t experts) {
    TransformerSettings settings{
        .vocabulary = kVocabulary, .sequence = 6, .width = 8, .layers = 1, .heads = 2, .hidden = kHidden};
    settings.experts = experts;
    settings.switch_every = 1;
    Transformer model(cpu(), settings, RandomStream(0, "test"));
    fill(model, false);
    const Cost before = cpu().cost();
    loss_of(model, tokens, Purpose::training);
    return (cpu().cost() - before).macs;
  };
  EXPECT_TRUE(macs(3) == macs(1) + 12 * 3 * 8);
}

TEST(Transformer, IsMadeAgainFromItsStructureAndCloned) {
  const TransformerSettings settings{.vocabulary = kVocabulary,
                                     .sequence = 6,
                                     .width = 8,
                                     .layers = 3,
                                     .heads = 2,
                                     .experts = 3,
                                     .capacity_factor = 1.25,
                                     .dropout = 0.1};
  Transformer model(cpu(), settings, RandomStream(3, "test"));
  const auto structure = model.structure();
  const auto again = module_types().make(cpu(), nlohmann::json::parse(structure.dump()), std::size_t{1} << 20);
  copy_tensors(named_state(model), named_state(*again));
  const auto copy = model.clone(cpu());
  const Tokens tokens = tokens_of(cpu(), 2, 6);
  for (Module* other : {again.get(), copy.get()}) {
    EXPECT_EQ(other->structure(), structure);
    EXPECT_EQ(named_parameters(*other).size(), named_parameters(model).size());
    EXPECT_EQ(loss_of(*other, tokens, Purpose::evaluation).prediction.item(),
              loss_of(model, tokens, Purpose::evaluation).prediction.item());
  }
}

TEST(Transformer, DropsOutInTrainingAloneAndBySteps) {
  TransformerSettings settings{
      .vocabulary = kVocabulary, .sequence = 6, .width = 8, .layers = 2, .heads = 2, .hidden = kHidden};
  settings.dropout = 0.3;
  Transformer model(cpu(), settings, RandomStream(3, "test"), DType::f64);
  fill(model, false);
  const Tokens tokens = tokens_of(cpu(), 2, 6);
  const auto loss = [&](Purpose purpose, std::int64_t step, std::int64_t first_row = 0) {
    const StepState state{step, 0};
    Pass pass{.purpose = purpose, .random = {RandomStream::key(1, "pass"), &state}, .first_row = first_row};
    return softmax_cross_entropy(model.forward(tokens.x, pass), tokens.y).item();
  };
  EXPECT_EQ(loss(Purpose::evaluation, 0), loss(Purpose::evaluation, 1));
  EXPECT_EQ(loss(Purpose::training, 1), loss(Purpose::training, 1));
  EXPECT_NE(loss(Purpose::training, 0), loss(Purpose::training, 1));
  EXPECT_NE(loss(Purpose::training, 0), loss(Purpose::training, 0, 1)) << "another part of the step's sequences";
}

// Sequences in two passes get the random bits that they have in one.
TEST(Transformer, DropoutOfAPartIsThatOfTheWhole) {
  TransformerSettings settings{
      .vocabulary = kVocabulary, .sequence = 6, .width = 8, .layers = 2, .heads = 2, .hidden = kHidden};
  settings.dropout = 0.3;
  Transformer model(cpu(), settings, RandomStream(3, "test"), DType::f64);
  const Tokens tokens = tokens_of(cpu(), 4, 6);
  const StepState state{2, 0};
  const auto loss = [&](std::int64_t first, std::int64_t last) {
    Pass pass{.purpose = Purpose::training, .random = {RandomStream::key(1, "pass"), &state}, .first_row = first};
    return softmax_cross_entropy(model.forward(tokens.x.part(6 * first, {last - first, 6}), pass),
                                 tokens.y.part(6 * first, {6 * (last - first)}), {24})
        .item();
  };
  EXPECT_NEAR(loss(0, 1) + loss(1, 4), loss(0, 4), 1e-14);
}

// Twenty steps on the CPU and in the simulator. Adam would blow up roundings: the gradient of the keys' bias is 0 by theory.
TEST(Transformer, TheSimulatorFollowsTheCpu) {
  const auto sim = open_simulator();
  if (!sim) GTEST_SKIP() << no_simulator;
  TransformerSettings settings{
      .vocabulary = kVocabulary, .sequence = 9, .width = 8, .layers = 2, .heads = 2, .hidden = kHidden};
  settings.experts = 3;
  std::vector<std::vector<float>> weights[2];
  for (Context* context : {&cpu(), sim.get()}) {
    Transformer model(*context, settings, RandomStream(3, "test"));
    const auto parameters = named_parameters(model);
    Optimizer optimizer(parameters, SgdRule{.momentum = 0.9}, 0.1);
    const Tokens tokens = tokens_of(*context, 3, 9);
    std::vector<double> losses;
    for (int step = 0; step < 20; ++step) {
      const Loss loss = loss_of(model, tokens, Purpose::training);
      losses.push_back(loss.prediction.item());
      loss.whole().backward();
      optimizer.step();
    }
    EXPECT_LT(losses.back(), 0.9 * losses.front());
    for (const auto& [name, parameter] : parameters) weights[context == sim.get()].push_back(parameter.to_vector<float>());
  }
  for (std::size_t i = 0; i < weights[0].size(); ++i) {
    double largest = 0, worst = 0;
    for (std::size_t k = 0; k < weights[0][i].size(); ++k) {
      largest = std::max(largest, static_cast<double>(std::abs(weights[0][i][k])));
      worst = std::max(worst, static_cast<double>(std::abs(weights[0][i][k] - weights[1][i][k])));
    }
    EXPECT_LE(worst, tolerance::devices_after_20_steps * largest) << i;
  }
}

TEST(Transformer, ATokenOutsideTheVocabularyIsNan) {
  Transformer model(cpu(), {.vocabulary = 3, .sequence = 2, .width = 4, .layers = 2, .heads = 1, .experts = 2},
                    RandomStream(3, "test"));
  const std::vector<std::int32_t> tokens{0, 3}, labels{1, 1};
  Pass pass{.purpose = Purpose::training};
  const Tensor logits = model.forward(Tensor::from(cpu(), {1, 2}, tokens), pass);
  EXPECT_TRUE(std::isnan(softmax_cross_entropy(logits, Tensor::from(cpu(), {2}, labels)).item()));
}

TEST(Transformer, RefusesWhatDoesNotFit) {
  const auto make = [](const TransformerSettings& settings) { Transformer(cpu(), settings, RandomStream(0, "test")); };
  expect_error([&] { make({.vocabulary = 0}); }, {"[transformer] sizes must be at least 1"});
  expect_error([&] { make({.vocabulary = 5, .width = 10, .heads = 3}); }, {"3 heads do not divide a width of 10"});
  expect_error([&] { make({.vocabulary = 5, .width = 8, .heads = 2, .switch_every = 0}); }, {"every 0 layers"});
  expect_error([&] { make({.vocabulary = 5, .width = 8, .heads = 2, .dropout = 1}); }, {"a dropout of 1"});
  expect_error([&] { make({.vocabulary = 5, .width = 8, .layers = 2, .heads = 2, .experts = 2000}); },
               {"[switch]", "experts 1 to 1024", "2000"});
  expect_error([&] { make({.vocabulary = 5, .width = 8, .layers = 2, .heads = 2, .experts = 2, .capacity_factor = 0}); },
               {"[switch] a capacity factor above 0"});
  Transformer model(cpu(), {.vocabulary = 5, .sequence = 4, .width = 8, .layers = 1, .heads = 2}, RandomStream(0, "test"));
  Pass pass;
  expect_error(
      [&] {
        model.forward(Tensor::zeros(cpu(), {1, 5}, DType::i32), pass);
      },
      {"[transformer] sequences of 5 tokens, expected 1 to 4"});
  expect_error([&] { model.forward(Tensor::zeros(cpu(), {1, 4}, DType::f32), pass); }, {"tokens must be i32"});
}

}  // namespace
}  // namespace alma::test
