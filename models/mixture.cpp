#include "models/mixture.h"

#include "engine/ops_loss.h"
#include "engine/ops_mix.h"
#include "engine/structure.h"

namespace alma {

namespace {

constexpr std::size_t kMost = 16;  // experts: what mix() takes

}  // namespace

Mixture::Mixture(std::unique_ptr<Module> gate, std::vector<std::unique_ptr<Module>> experts)
    : gate_(std::move(gate)), experts_(std::move(experts)) {
  if (experts_.empty() || experts_.size() > kMost) fail("[mixture] 1 to ", kMost, " experts, got ", experts_.size());
}

Tensor Mixture::forward(const Tensor& x, Pass& pass) {
  std::vector<Tensor> outputs;
  outputs.reserve(experts_.size());
  for (auto& expert : experts_) outputs.push_back(expert->forward(x, pass));
  const Tensor scores = softmax(gate_->forward(x, pass));
  if (pass.wants_usage) pass.usage.push_back({this, scores.detach()});
  return mix(scores, outputs, pass.in_channels ? pass.members : 1);
}

void Mixture::children(const ChildVisitor& visitor) {
  visitor("gate", *gate_);
  for (std::size_t k = 0; k < experts_.size(); ++k) visitor("expert." + std::to_string(k), *experts_[k]);
}

Mixture::Mixture(const Structure& structure) : gate_(structure.child("gate")), experts_(structure.children("experts")) {
  if (experts_.empty() || experts_.size() > kMost) structure.refuse("1 to ", kMost, " experts, found ", experts_.size());
}

nlohmann::json Mixture::structure() const {
  return {{"type", type}, {"gate", gate_->structure()}, {"experts", structures_of(experts_)}};
}

std::unique_ptr<Module> Mixture::clone(Context& context) const {
  std::vector<std::unique_ptr<Module>> experts;
  for (const auto& expert : experts_) experts.push_back(expert->clone(context));
  return std::make_unique<Mixture>(gate_->clone(context), std::move(experts));
}

}  // namespace alma
