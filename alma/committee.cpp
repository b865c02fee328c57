#include "alma/committee.h"

#include "engine/autograd.h"
#include "engine/ops_elementwise.h"
#include "engine/ops_loss.h"
#include "engine/ops_reduce.h"
#include "engine/ops_shape.h"

namespace alma {

namespace {

// A row for each row of logits: 1 at its largest element, 0 elsewhere.
Tensor vote(const Tensor& logits) {
  const auto classes = static_cast<std::size_t>(logits.dim(1));
  std::vector<float> unit(classes * classes);
  for (std::size_t i = 0; i < classes; ++i) unit[i * classes + i] = 1;
  return gather(Tensor::from(logits.context(), {logits.dim(1), logits.dim(1)}, unit), argmax(logits));
}

void add(Tensor& sum, const Tensor& x) { sum = sum.defined() ? sum + x : x; }

}  // namespace

Tensor committee_logits(std::span<const std::unique_ptr<Module>> models, Combine combine, const Tensor& x) {
  if (models.empty()) fail("[committee] no models");
  const NoGrad off;
  if (models.size() == 1) return models[0]->forward(x);
  const auto count = static_cast<double>(models.size());
  Tensor sum, votes;
  for (const auto& model : models) {
    const Tensor logits = model->forward(x);
    add(sum, combine == Combine::logits ? logits : softmax(logits));
    if (combine == Combine::vote) add(votes, vote(logits));
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
