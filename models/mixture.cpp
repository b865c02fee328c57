#include "models/mixture.h"

#include "engine/ops_elementwise.h"
#include "engine/ops_loss.h"
#include "engine/ops_mix.h"
#include "engine/ops_shape.h"
#include "engine/structure.h"

namespace alma {

Mixture::Mixture(std::unique_ptr<Module> gate, std::vector<std::unique_ptr<Module>> experts)
    : gate_(std::move(gate)), experts_(std::move(experts)) {
  const std::int64_t count = this->experts();
  if (count < 1 || count > most_branches) fail("[mixture] 1 to ", most_branches, " experts, got ", count);
}

std::int64_t Mixture::first_experts() const {
  std::int64_t first = experts();
  for (const Split& split : splits_) first -= split.into - 1;
  return first;
}

Tensor Mixture::forward(const Tensor& x, Pass& pass) {
  std::vector<Tensor> outputs;
  outputs.reserve(experts_.size());
  for (auto& expert : experts_) outputs.push_back(expert->forward(x, pass));
  const Tensor first_scores = softmax(gate_->forward(x, pass));
  std::vector<Tensor> scores;
  for (const Split& split : splits_) scores.push_back(softmax(split.gate->forward(x, pass)));
  if (pass.wants_usage) pass.usage.push_back({this, weights(first_scores, scores)});
  // The last split is at the bottom of the tree: its expert and the last outputs become one output, and so on upwards.
  const std::int64_t gates_per_row = pass.in_channels ? pass.members : 1;
  for (std::size_t i = splits_.size(); i-- > 0;) {
    const auto others = outputs.end() - (splits_[i].into - 1);
    std::vector<Tensor> branches{outputs[static_cast<std::size_t>(splits_[i].expert)]};
    branches.insert(branches.end(), others, outputs.end());
    outputs.erase(others, outputs.end());
    outputs[static_cast<std::size_t>(splits_[i].expert)] = mix(scores[i], branches, gates_per_row);
  }
  return mix(first_scores, outputs, gates_per_row);
}

// The products of the scores along the path to each expert: [rows, experts].
Tensor Mixture::weights(const Tensor& first_scores, const std::vector<Tensor>& scores) const {
  const auto column = [](const Tensor& of, std::int64_t k) { return slice(of.detach(), 1, k, k + 1); };
  std::vector<Tensor> weights;
  for (std::int64_t k = 0; k < first_experts(); ++k) weights.push_back(column(first_scores, k));
  for (std::size_t i = 0; i < splits_.size(); ++i) {
    const auto expert = static_cast<std::size_t>(splits_[i].expert);
    const Tensor whole = weights[expert];
    weights[expert] = whole * column(scores[i], 0);
    for (std::int64_t k = 1; k < splits_[i].into; ++k) weights.push_back(whole * column(scores[i], k));
  }
  return concat(weights, 1);
}

void Mixture::split(std::int64_t expert, std::int64_t into, RandomStream& init) {
  if (expert < 0 || expert >= experts()) fail("[mixture] no expert ", expert, " among ", experts());
  if (into < 2 || into > most_branches) fail("[mixture] a split into 2 to ", most_branches, " experts, got ", into);
  if (experts() + into - 1 > most_experts) fail("[mixture] at most ", most_experts, " experts");
  std::unique_ptr<Module> gate = redrawn(*gate_, into, init);
  const Module& copied = *experts_[static_cast<std::size_t>(expert)];
  Context& context = named_state(*gate_).at(0).second.context();
  for (std::int64_t k = 1; k < into; ++k) experts_.push_back(copied.clone(context));
  splits_.push_back({expert, into, std::move(gate)});
}

void Mixture::children(const ChildVisitor& visitor) {
  visitor("gate", *gate_);
  for (std::size_t k = 0; k < experts_.size(); ++k) visitor("expert." + std::to_string(k), *experts_[k]);
  for (std::size_t i = 0; i < splits_.size(); ++i) visitor("split." + std::to_string(i) + ".gate", *splits_[i].gate);
}

Mixture::Mixture(const Structure& structure)
    : gate_(structure.child("gate")), experts_(structure.children("experts")), splits_(splits_of(structure)) {
  if (experts() > most_experts) structure.refuse("at most ", most_experts, " experts, found ", experts());
  const std::int64_t first = first_experts();
  if (first < 1 || first > most_branches)
    structure.refuse("1 to ", most_branches, " experts", splits_.empty() ? "" : " before the splits", ", found ", first);
  std::int64_t there = first;
  for (const Split& split : splits_) {
    if (split.expert >= there) structure.refuse("a split of expert ", split.expert, " where there are ", there);
    there += split.into - 1;
  }
}

std::vector<Mixture::Split> Mixture::splits_of(const Structure& structure) {
  std::vector<Split> splits;
  if (!structure.has("splits")) return splits;  // as of a mixture that never grew
  for (const Structure& split : structure.objects("splits"))
    splits.push_back(
        {split.integer("expert", 0, most_experts - 1), split.integer("into", 2, most_branches), split.child("gate")});
  return splits;
}

nlohmann::json Mixture::structure() const {
  nlohmann::json structure = {{"type", type}, {"gate", gate_->structure()}, {"experts", structures_of(experts_)}};
  for (const Split& split : splits_)
    structure["splits"].push_back({{"expert", split.expert}, {"into", split.into}, {"gate", split.gate->structure()}});
  return structure;
}

std::unique_ptr<Module> Mixture::clone(Context& context) const {
  std::vector<std::unique_ptr<Module>> experts;
  for (const auto& expert : experts_) experts.push_back(expert->clone(context));
  std::vector<Split> splits;
  for (const Split& split : splits_) splits.push_back({split.expert, split.into, split.gate->clone(context)});
  return std::unique_ptr<Module>(new Mixture(gate_->clone(context), std::move(experts), std::move(splits)));
}

std::vector<Mixture*> mixtures_of(Module& model) {
  std::vector<Mixture*> mixtures;
  if (auto* mixture = dynamic_cast<Mixture*>(&model)) mixtures.push_back(mixture);
  model.children([&](const std::string&, Module& child) {
    for (Mixture* inside : mixtures_of(child)) mixtures.push_back(inside);
  });
  return mixtures;
}

}  // namespace alma
