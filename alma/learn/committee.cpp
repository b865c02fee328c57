#include "alma/learn/committee.h"

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

void CommitteeSum::add(Module& model, const Tensor& x) {
  const NoGrad off;
  Pass pass;
  const Tensor logits = model.forward(x, pass);
  if (models_++ == 0) {
    first_ = logits;
    return;
  }
  if (models_ == 2) count_in(first_);
  count_in(logits);
}

void CommitteeSum::count_in(const Tensor& logits) {
  add_to(sum_, combine_ == Combine::logits ? logits : softmax(logits));
  if (combine_ != Combine::vote) return;
  if (!ballots_.defined()) ballots_ = ballots(logits.context(), logits.dim(1));
  add_to(votes_, gather(ballots_, argmax(logits)));
}

Tensor CommitteeSum::logits() const {
  if (models_ == 0) fail("[committee] no models");
  if (models_ == 1) return first_;
  const NoGrad off;
  const auto count = static_cast<double>(models_);
  const Tensor mean = (1 / count) * sum_;
  switch (combine_) {
    case Combine::probabilities: return log(mean);
    case Combine::logits: return mean;
    case Combine::vote: return log((1 / (count + 0.5)) * (votes_ + 0.5 * mean));
  }
  fail("[committee] unknown rule");
}

Tensor committee_logits(std::span<const std::unique_ptr<Module>> models, Combine combine, const Tensor& x) {
  CommitteeSum sum(combine);
  for (const auto& model : models) sum.add(*model, x);
  return sum.logits();
}

}  // namespace alma
