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

/// Of each mixture, the sum over the samples of each expert's weight, times the sample's loss for SplitRule::loss.
std::map<const Module*, std::vector<double>> loads(Module& model, const Samples& samples,
                                                   const std::vector<std::int32_t>& chosen, SplitRule rule) {
  const NoGrad off;
  Context& context = named_state(model).at(0).second.context();
  const auto batch_size = static_cast<std::size_t>(samples.evaluation_batch());
  std::map<const Module*, std::vector<double>> sums;
  for (std::size_t first = 0; first < chosen.size(); first += batch_size) {
    const std::size_t count = std::min(batch_size, chosen.size() - first);
    const std::vector<std::int32_t> indices(chosen.begin() + static_cast<std::ptrdiff_t>(first),
                                            chosen.begin() + static_cast<std::ptrdiff_t>(first + count));
    const Batch batch = samples.batch(Tensor::from(context, {static_cast<std::int64_t>(count)}, indices), {});
    Pass pass{.wants_usage = true};
    const Tensor logits = model.forward(batch.x, pass);
    const std::vector<double> shares =
        rule == SplitRule::loss ? losses_of(logits, batch.y) : std::vector<double>(count, 1.0);
    for (const Usage& used : pass.usage) {
      const std::vector<float> weights = used.scores.to_vector<float>();
      std::vector<double>& sum = sums[used.layer];
      sum.resize(weights.size() / count);
      for (std::size_t i = 0; i < weights.size(); ++i)
        sum[i % sum.size()] += static_cast<double>(weights[i]) * shares[i / sum.size()];
    }
  }
  return sums;
}

}  // namespace

void grow_experts(Module& model, const Samples& samples, const MegaBatch& data, const ExpertGrowth& growth,
                  RandomStream& init) {
  const std::vector<Mixture*> mixtures = mixtures_of(model);
  if (mixtures.empty()) fail("[grow_experts] the model has no mixture of experts");
  std::map<const Module*, std::vector<double>> sums;
  if (growth.rule != SplitRule::random)
    sums = loads(model, samples, data.validation.empty() ? data.train : data.validation, growth.rule);
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
  }
}

}  // namespace alma
