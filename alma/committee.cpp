#include "alma/committee.h"

#include "engine/autograd.h"
#include "engine/ops_elementwise.h"
#include "engine/ops_loss.h"
#include "engine/ops_reduce.h"
#include "engine/ops_shape.h"

namespace alma {

namespace {

// Row c is a vote for class c.
Tensor ballots(Context& context, std::int64_t classes) {
  const auto n = static_cast<std::size_t>(classes);
  std::vector<float> unit(n * n);
  for (std::size_t i = 0; i < n; ++i) unit[i * n + i] = 1;
  return Tensor::from(context, {classes, classes}, unit);
}

void add(Tensor& sum, const Tensor& x) { sum = sum.defined() ? sum + x : x; }

}  // namespace

Tensor committee_logits(std::span<const std::unique_ptr<Module>> models, Combine combine, const Tensor& x) {
  if (models.empty()) fail("[committee] no models");
  const NoGrad off;
  if (models.size() == 1) return models[0]->forward(x);
  const auto count = static_cast<double>(models.size());
  Tensor sum, votes, ballot_of;
  for (const auto& model : models) {
    const Tensor logits = model->forward(x);
    add(sum, combine == Combine::logits ? logits : softmax(logits));
    if (combine != Combine::vote) continue;
    if (!ballot_of.defined()) ballot_of = ballots(logits.context(), logits.dim(1));
    add(votes, gather(ballot_of, argmax(logits)));
  }
  const Tensor mean = (1 / count) * sum;
  switch (combine) {
    case Combine::probabilities: return log(mean);
    case Combine::logits: return mean;
    case Combine::vote: return log((1 / (count + 0.5)) * (votes + 0.5 * mean));
  }
  fail("[committee] unknown rule");
}

}  // namespace alma
