#include "models/mixture.h"

#include "engine/ops_loss.h"
#include "engine/ops_mix.h"

namespace alma {

Mixture::Mixture(std::unique_ptr<Module> gate, std::vector<std::unique_ptr<Module>> experts)
    : gate_(std::move(gate)), experts_(std::move(experts)) {
  if (experts_.empty() || experts_.size() > 16) fail("[mixture] 1 to 16 experts, got ", experts_.size());
}

Tensor Mixture::forward(const Tensor& x, Pass& pass) {
  std::vector<Tensor> outputs;
  outputs.reserve(experts_.size());
  for (auto& expert : experts_) outputs.push_back(expert->forward(x, pass));
  const Tensor scores = softmax(gate_->forward(x, pass));
  if (pass.wants_usage) pass.usage.push_back({this, scores.detach()});
  return mix(scores, outputs);
}

void Mixture::visit(const Visitor& visitor, const std::string& prefix) {
  gate_->visit(visitor, prefix + "gate.");
  for (std::size_t k = 0; k < experts_.size(); ++k)
    experts_[k]->visit(visitor, prefix + "expert." + std::to_string(k) + ".");
}

std::unique_ptr<Module> Mixture::clone(Context& context) const {
  std::vector<std::unique_ptr<Module>> experts;
  for (const auto& expert : experts_) experts.push_back(expert->clone(context));
  return std::make_unique<Mixture>(gate_->clone(context), std::move(experts));
}

}  // namespace alma
