#include "text/ngram.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>

#include "base/random.h"
#include "tests/data/files.h"

namespace alma::test {
namespace {

using Tokens = std::vector<std::int32_t>;
constexpr std::int32_t kVocabulary = 80;

/// The formula of tests/golden/ngram.py.
Tokens tokens(int count, std::uint64_t state) {
  Tokens all;
  std::int32_t last = 0;
  for (int i = 0; i < count; ++i) {
    std::array<std::int32_t, 4> draws;
    for (std::int32_t& draw : draws) {
      state = (state * 1103515245 + 12345) % (std::uint64_t{1} << 31);
      draw = static_cast<std::int32_t>((state >> 16) % 79);
    }
    last = draws[0] % 3 == 0 ? (last + 1) % 79 : *std::min_element(draws.begin(), draws.end());
    all.push_back(last);
  }
  return all;
}

template <class Model>
void fit(Model& model) {
  for (const Tokens& run : {tokens(600, 1), tokens(200, 2), tokens(1, 3), tokens(300, 4)}) model.add(run);
  model.fit();
}

nlohmann::json golden() { return nlohmann::json::parse(std::ifstream(ALMA_SOURCE_DIR "/tests/golden/ngram.json")); }

void expect_logs(const NGramModel& model, const std::vector<double>& logs) {
  const Tokens judged = tokens(60, 5);
  double nats = 0;
  for (std::size_t i = 0; i < judged.size(); ++i) {
    EXPECT_NEAR(model.log_probability(std::span(judged).first(i), judged[i]), logs[i], 1e-6) << i;
    if (i >= 10) nats -= logs[i];
  }
  const TokenLoss loss = judge(model, judged, 10);
  EXPECT_EQ(loss.tokens, 50);
  EXPECT_NEAR(loss.nats, nats, 1e-5);
  EXPECT_NEAR(loss.perplexity(), std::exp(nats / 50), 1e-5);
  EXPECT_NEAR(loss.bits_per_byte(200), nats / std::log(2.0) / 200, 1e-7);
}

TEST(NGram, KneserNeyHasTheProbabilitiesOfAnIndependentProgram) {
  const auto expected = golden().at("kneser_ney");
  for (int order = 2; order <= 5; ++order) {
    SCOPED_TRACE(order);
    KneserNey model(order, kVocabulary);
    fit(model);
    const auto logs = expected.at(std::to_string(order)).at("logs").get<std::vector<double>>();
    expect_logs(model, logs);
    EXPECT_NEAR(model.log_probability({}, 79), logs.back(), 1e-6);
  }
}

TEST(NGram, TheInterpolatedBigramHasThemToo) {
  const auto expected = golden().at("bigram");
  InterpolatedBigram model(kVocabulary);
  fit(model);
  EXPECT_NEAR(model.weight(), expected.at("weight").get<double>(), 1e-6);
  expect_logs(model, expected.at("logs").get<std::vector<double>>());
}

void expect_sums_of_one(const NGramModel& model) {
  const Tokens judged = tokens(60, 5);
  for (std::size_t i = 0; i < judged.size(); ++i) {
    double sum = 0;
    for (std::int32_t token = 0; token < kVocabulary; ++token)
      sum += std::exp(model.log_probability(std::span(judged).first(i), token));
    EXPECT_NEAR(sum, 1, 1e-6);
  }
  double sum = 0;
  for (std::int32_t token = 0; token < kVocabulary; ++token) sum += std::exp(model.log_probability(Tokens{3, 79}, token));
  EXPECT_NEAR(sum, 1, 1e-6);  // a history that never occurs
}

TEST(NGram, ProbabilitiesSumToOne) {
  for (int order = 1; order <= 5; ++order) {
    KneserNey model(order, kVocabulary);
    fit(model);
    expect_sums_of_one(model);
  }
  InterpolatedBigram model(kVocabulary);
  fit(model);
  expect_sums_of_one(model);
}

// Nothing at all, one token, and tokens whose counts give no discounts.
TEST(NGram, FewTokensAreEnough) {
  for (const Tokens& run : {Tokens{}, Tokens{4}, Tokens{1, 1, 1, 1, 1}, Tokens{0, 1, 2, 3, 4, 5}}) {
    for (int order = 1; order <= 5; ++order) {
      KneserNey model(order, kVocabulary);
      model.add(run);
      model.fit();
      expect_sums_of_one(model);
    }
    InterpolatedBigram model(kVocabulary);
    model.add(run);
    model.fit();
    expect_sums_of_one(model);
  }
  KneserNey nothing(2, kVocabulary);
  nothing.fit();
  EXPECT_NEAR(nothing.log_probability({}, 3), -std::log(80.0), 1e-12);
}

// Independent tokens: no model can do better than their entropy, and with enough of them none does much worse.
TEST(NGram, OfIndependentTokensTheLossIsTheirEntropy) {
  RandomStream random(1, "ngram");
  const auto draw = [&](std::size_t count) {
    Tokens all(count);
    for (std::int32_t& token : all) token = static_cast<std::int32_t>(random.below(4) * random.below(3));
    return all;
  };
  // Products of 0 .. 3 and 0 .. 2: 0 in 6 of 12 cases, 1, 3, 4 and 6 in one, 2 in two.
  const double entropy = 0.5 * std::log(2.0) + 4 * std::log(12.0) / 12 + std::log(6.0) / 6;
  KneserNey model(3, 7);
  model.add(draw(200000));
  model.fit();
  EXPECT_NEAR(judge(model, draw(100000), 0).nats_per_token(), entropy, 0.01);
}

TEST(NGram, TheOrderHasBounds) {
  for (const int order : {0, 6})
    expect_error(ErrorKind::usage, {"the order of an n-gram model is " + std::to_string(order)},
                 [&] { KneserNey(order, 2); });
}

}  // namespace
}  // namespace alma::test
