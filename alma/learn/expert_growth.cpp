#include "alma/learn/expert_growth.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include "engine/autograd.h"
#include "models/mixture.h"

namespace alma {

namespace {

/// The cross-entropy of each row of logits [rows, classes].
std::vector<double> losses_of(const Tensor& logits, const Tensor& labels) {
  const auto classes = static_cast<std::size_t>(logits.dim(1));
  const std::vector<float> all = logits.to_vector<float>();
  std::vector<double> losses;
  for (const std::int32_t label : labels.to_vector<std::int32_t>()) {
    const float* row = all.data() + losses.size() * classes;
    const double most = *std::max_element(row, row + classes);
    double sum = 0;
    for (std::size_t c = 0; c < classes; ++c) sum += std::exp(row[c] - most);
    losses.push_back(most + std::log(sum) - row[label]);
  }
  return losses;
}

/// Calls visit(pass, logits, labels) for each batch of an evaluation that asks for usage.
template <class Visit>
void for_each_pass(Module& model, const Samples& samples, const std::vector<std::int32_t>& chosen, const Visit& visit) {
  const NoGrad off;
  Context& context = named_state(model).at(0).second.context();
  for_each_batch(samples, context, chosen, samples.evaluation_batch(), [&](const Batch& batch) {
    Pass pass{.wants_usage = true};
    const Tensor logits = model.forward(batch.x, pass);
    visit(pass, logits, batch.y);
  });
}

/// Of each mixture, the sum over the samples of each expert's weight, times the sample's loss for SplitRule::loss.
std::map<const Module*, std::vector<double>> loads(Module& model, const Samples& samples,
                                                   const std::vector<std::int32_t>& chosen, SplitRule rule) {
  std::map<const Module*, std::vector<double>> sums;
  for_each_pass(model, samples, chosen, [&](const Pass& pass, const Tensor& logits, const Tensor& labels) {
    std::vector<double> shares(static_cast<std::size_t>(logits.dim(0)), 1.0);
    if (rule == SplitRule::loss) shares = losses_of(logits, labels);
    for (const Usage& used : pass.usage) {
      const std::vector<float> weights = used.scores.to_vector<float>();
      std::vector<double>& sum = sums[used.layer];
      sum.resize(weights.size() / shares.size());
      for (std::size_t i = 0; i < weights.size(); ++i)
        sum[i % sum.size()] += static_cast<double>(weights[i]) * shares[i / sum.size()];
    }
  });
  return sums;
}

float median(std::vector<float> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// Shifts the newest gate of these mixtures, so that each of its scores is above that of the first branch, which is 0, for
/// half of the samples that come to it. Gates that are drawn send nearly all samples of a branch one way: one of the copies
/// would get nothing to learn from, and the tree would become a chain.
void balance_new_gates(Module& model, const Samples& samples, const std::vector<std::int32_t>& chosen,
                       const std::vector<Mixture*>& mixtures) {
  std::map<const Module*, std::vector<std::vector<float>>> found;  // the values of each score
  for_each_pass(model, samples, chosen, [&](const Pass& pass, const Tensor&, const Tensor&) {
    for (const Usage& used : pass.usage) {
      if (!used.newest_gate.defined()) continue;
      const std::vector<float> scores = used.newest_gate.to_vector<float>();
      std::vector<std::vector<float>>& all = found[used.layer];
      all.resize(static_cast<std::size_t>(used.newest_gate.dim(1)));
      for (std::size_t i = 0; i < scores.size(); ++i) all[i % all.size()].push_back(scores[i]);
    }
  });
  for (Mixture* mixture : mixtures) {
    const auto scores = found.find(mixture);
    if (scores == found.end()) continue;  // no sample came to it
    std::vector<float> shift;
    for (const std::vector<float>& values : scores->second) shift.push_back(-median(values));
    mixture->shift_newest_gate(shift);
  }
}

}  // namespace

void grow_experts(Module& model, const Samples& samples, const MegaBatch& data, const ExpertGrowth& growth,
                  RandomStream& init) {
  const std::vector<Mixture*> mixtures = mixtures_of(model);
  if (mixtures.empty()) fail("[grow_experts] the model has no mixture of experts");
  const std::vector<std::int32_t>& chosen = data.validation.empty() ? data.train : data.validation;
  std::map<const Module*, std::vector<double>> sums;
  if (growth.rule != SplitRule::random) sums = loads(model, samples, chosen, growth.rule);
  std::vector<Mixture*> unbalanced;
  for (Mixture* mixture : mixtures) {
    if (mixture->experts() + growth.into - 1 > growth.most_experts) continue;
    std::int64_t expert = 0;
    if (growth.rule == SplitRule::random) {
      expert = init.below(static_cast<std::uint32_t>(mixture->experts()));
    } else {
      const std::vector<double>& sum = sums.at(mixture);
      expert = std::max_element(sum.begin(), sum.end()) - sum.begin();
    }
    mixture->split(expert, growth.into, init);
    if (mixture->gating() == Gating::hard) unbalanced.push_back(mixture);
  }
  if (!unbalanced.empty()) balance_new_gates(model, samples, chosen, unbalanced);
}

}  // namespace alma
