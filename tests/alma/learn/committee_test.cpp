#include "alma/learn/committee.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/ops_loss.h"

namespace alma::test {
namespace {

// Says the same logits whatever it is asked.
class Constant final : public Module {
 public:
  explicit Constant(Tensor logits) : logits_(std::move(logits)) {}
  Tensor forward(const Tensor&, Pass&) override { return logits_; }
  nlohmann::json structure() const override { return {{"type", "constant"}}; }
  std::unique_ptr<Module> clone(Context&) const override { return std::make_unique<Constant>(logits_); }

 private:
  Tensor logits_;
};

class Committee : public ::testing::Test {
 protected:
  // Each member: the probabilities of one sample.
  std::vector<float> predict(const std::vector<std::vector<double>>& members, Combine combine,
                             std::vector<double> weights = {}) {
    if (weights.empty()) weights.assign(members.size(), 1);
    std::vector<std::unique_ptr<Module>> models;
    for (const std::vector<double>& probabilities : members) {
      std::vector<float> logits;
      for (double p : probabilities) logits.push_back(static_cast<float>(std::log(p)));
      models.push_back(
          std::make_unique<Constant>(Tensor::from(context_, {1, static_cast<std::int64_t>(logits.size())}, logits)));
    }
    return softmax(committee_logits(models, weights, combine, Tensor())).to_vector<float>();
  }
  static void expect_near(const std::vector<float>& found, const std::vector<double>& expected) {
    ASSERT_EQ(found.size(), expected.size());
    for (std::size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], expected[i], 1e-6) << i;
  }
  Context context_{"cpu"};
};

TEST_F(Committee, AveragesProbabilities) {
  expect_near(predict({{.7, .2, .1}, {.1, .5, .4}}, Combine::probabilities), {.4, .35, .25});
}

TEST_F(Committee, AveragesLogitsAsAGeometricMean) {
  const double a = std::sqrt(.7 * .1), b = std::sqrt(.2 * .5), c = std::sqrt(.1 * .4), all = a + b + c;
  expect_near(predict({{.7, .2, .1}, {.1, .5, .4}}, Combine::logits), {a / all, b / all, c / all});
}

TEST_F(Committee, WeightsCountAsSoManyModels) {
  const std::vector<std::vector<double>> two{{.7, .2, .1}, {.1, .5, .4}}, four{two[0], two[1], two[1], two[1]};
  for (const Combine combine : {Combine::probabilities, Combine::logits, Combine::vote}) {
    const auto expected = predict(four, combine);
    expect_near(predict(two, combine, {1, 3}), {expected.begin(), expected.end()});
  }
  expect_near(predict(two, Combine::probabilities, {0, 2}), {.1, .5, .4});
  expect_near(predict(two, Combine::probabilities, {0, 0}), {.4, .35, .25});
  expect_near(predict({two[0]}, Combine::probabilities, {0.25}), two[0]);
}

TEST_F(Committee, AMajorityOfVotesBeatsAnyConfidence) {
  // Two weak votes for class 1, one that is nearly sure of class 0: the mean probability would say 0.
  const std::vector<std::vector<double>> members{{.998, .001, .001}, {.33, .34, .33}, {.33, .34, .33}};
  const double half = 1.0 / 3 / 2;
  expect_near(predict(members, Combine::vote), {(1 + half * 1.658) / 3.5, (2 + half * .681) / 3.5, (0 + half * .661) / 3.5});
  EXPECT_GT(predict(members, Combine::probabilities)[0], .5f);
}

TEST_F(Committee, EqualVotesGoToTheLargerMeanProbability) {
  const auto p = predict({{.6, .3, .1}, {.2, .7, .1}}, Combine::vote);
  EXPECT_GT(p[1], p[0]);
  const auto q = predict({{.9, .05, .05}, {.2, .7, .1}}, Combine::vote);
  EXPECT_GT(q[0], q[1]);
}

TEST_F(Committee, OfOneIsThatOne) {
  for (const Combine combine : {Combine::probabilities, Combine::logits, Combine::vote})
    expect_near(predict({{.6, .3, .1}}, combine), {.6, .3, .1});
}

TEST_F(Committee, CertaintyIsNotLost) {
  // A probability of 0 in f32: log 0 must not become NaN.
  const auto p = predict({{1, 1e-60, 1e-60}, {1, 1e-60, 1e-60}}, Combine::probabilities);
  expect_near(p, {1, 0, 0});
}

}  // namespace
}  // namespace alma::test
