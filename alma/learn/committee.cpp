#include "alma/learn/committee.h"

#include <algorithm>

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

void add_to(Tensor& sum, const Tensor& x) { sum = sum.defined() ? sum + x : x; }

}  // namespace

void CommitteeSum::add(Module& model, const Tensor& x, double weight) {
  const NoGrad off;
  Pass pass;
  const Tensor logits = model.forward(x, pass);
  constexpr double least = 1e-9;  // next to nothing beside other weights, and equal where all are 0
  weight = std::max(weight, least);
  if (models_++ == 0) {
    first_ = logits;
    first_weight_ = weight;
    return;
  }
  if (models_ == 2) count_in(dense(first_), first_weight_);
  count_in(dense(logits), weight);
}

void CommitteeSum::count_in(const Tensor& logits, double weight) {
  const auto weighted = [weight](const Tensor& x) { return weight == 1 ? x : weight * x; };
  weight_ += weight;
  add_to(sum_, weighted(combine_ == Combine::logits ? logits : softmax(logits)));
  if (combine_ != Combine::vote) return;
  if (!ballots_.defined()) ballots_ = ballots(logits.context(), logits.dim(1));
  add_to(votes_, weighted(gather(ballots_, argmax(logits))));
}

Tensor CommitteeSum::logits() const {
  if (models_ == 0) fail("[committee] no models");
  if (models_ == 1) return first_;
  const NoGrad off;
  const Tensor mean = (1 / weight_) * sum_;
  switch (combine_) {
    case Combine::probabilities: return log(mean);
    case Combine::logits: return mean;
    case Combine::vote: return log((1 / (weight_ + 0.5)) * (votes_ + 0.5 * mean));
  }
  fail("[committee] unknown rule");
}

Tensor committee_logits(std::span<const std::unique_ptr<Module>> models, std::span<const double> weights, Combine combine,
                        const Tensor& x) {
  CommitteeSum sum(combine);
  for (std::size_t i = 0; i < models.size(); ++i) sum.add(*models[i], x, weights[i]);
  return sum.logits();
}

}  // namespace alma
