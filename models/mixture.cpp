#include "models/mixture.h"

#include <algorithm>
#include <numeric>

#include "engine/autograd.h"
#include "engine/ops_conv.h"
#include "engine/ops_elementwise.h"
#include "engine/ops_images.h"
#include "engine/ops_loss.h"
#include "engine/ops_mix.h"
#include "engine/ops_reduce.h"
#include "engine/ops_shape.h"
#include "engine/structure.h"

namespace alma {

Mixture::Mixture(std::unique_ptr<Module> gate, std::vector<std::unique_ptr<Module>> experts, Gating gating)
    : gate_(std::move(gate)), experts_(std::move(experts)), gating_(gating) {
  const std::int64_t count = this->experts();
  if (gating == Gating::hard && count < 2) fail("[mixture] 2 to ", most_branches, " experts of a hard gate, got ", count);
  if (count < 1 || count > most_branches) fail("[mixture] 1 to ", most_branches, " experts, got ", count);
}

std::int64_t Mixture::first_experts() const {
  std::int64_t first = experts();
  for (const Split& split : splits_) first -= split.into - 1;
  return first;
}

/// The way of the rows of one pass through a hard mixture.
class Mixture::Routing {
 public:
  Routing(Mixture& mixture, const Tensor& x, Pass& pass) : mixture_(mixture), all_rows_(x.dim(0)), pass_(pass) {
    Rows rows(static_cast<std::size_t>(all_rows_));
    std::iota(rows.begin(), rows.end(), 0);
    descend(*mixture.gate_, mixture.first_experts(), 0, 1, {0, rows, x, {}});
  }
  Tensor output() const;
  /// 1 for the expert of each row, else 0: [rows, experts].
  Tensor weights() const;
  Tensor newest_gate() const { return newest_gate_; }

 private:
  using Rows = std::vector<std::int32_t>;
  struct Group {             // of rows that have come the same way
    std::size_t next_split;  // the first one that may be ahead of them
    Rows rows;               // of the pass
    Tensor x;                // these rows
    Tensor factor;           // [rows, 1]: of the gates so far; undefined without a gradient
  };
  void arrive(std::int64_t expert, Group group);
  void descend(Module& gate, std::int64_t branches, std::int64_t expert, std::int64_t first_other, const Group& group);
  Tensor indices(const Rows& rows, Context& context) const {
    return Tensor::from(context, {static_cast<std::int64_t>(rows.size())}, rows);
  }

  Mixture& mixture_;
  std::int64_t all_rows_;
  Pass& pass_;
  std::vector<Tensor> outputs_;        // [rows, elements], of each expert that has rows
  Rows order_;                         // the rows of all outputs, one after the other
  std::vector<std::int64_t> experts_;  // of these rows
  Shape shape_;                        // of an output
  Layout layout_ = Layout::row_major;
  Tensor newest_gate_;
};

// The group comes to an expert, or to the gate of the expert's next split.
void Mixture::Routing::arrive(std::int64_t expert, Group group) {
  std::int64_t first_other = mixture_.first_experts();
  for (std::size_t i = 0; i < mixture_.splits_.size(); ++i) {
    const Split& split = mixture_.splits_[i];
    if (i >= group.next_split && split.expert == expert) {
      group.next_split = i + 1;
      return descend(*split.gate, split.into, expert, first_other, group);
    }
    first_other += split.into - 1;
  }
  const Tensor y = mixture_.experts_[static_cast<std::size_t>(expert)]->forward(group.x, pass_);
  shape_ = y.shape();
  layout_ = y.layout();
  const Tensor rows = y.shape().rank() == 2 ? y : reshape(to_layout(y, Layout::row_major), {y.dim(0), y.count() / y.dim(0)});
  outputs_.push_back(group.factor.defined() ? rows * group.factor : rows);
  order_.insert(order_.end(), group.rows.begin(), group.rows.end());
  experts_.insert(experts_.end(), group.rows.size(), expert);
}

// The group comes to a gate, whose branch 0 is `expert` and whose others are the experts from `first_other` on.
void Mixture::Routing::descend(Module& gate, std::int64_t branches, std::int64_t expert, std::int64_t first_other,
                               const Group& group) {
  const Tensor other_scores = gate.forward(group.x, pass_);
  if (!mixture_.splits_.empty() && &gate == mixture_.splits_.back().gate.get()) newest_gate_ = other_scores.detach();
  const Tensor first_score = Tensor::zeros(other_scores.context(), {other_scores.dim(0), 1}, other_scores.dtype());
  const Tensor scores = softmax(concat({first_score, other_scores}, 1));
  const std::vector<std::int32_t> branch_of = argmax(scores).to_vector<std::int32_t>();
  for (std::int32_t branch = 0; branch < branches; ++branch) {
    Rows here;  // of the group
    Group next{group.next_split, {}, group.x, group.factor};
    for (std::size_t i = 0; i < branch_of.size(); ++i)
      if (branch_of[i] == branch) {
        here.push_back(static_cast<std::int32_t>(i));
        next.rows.push_back(group.rows[i]);
      }
    if (here.empty()) continue;
    Tensor score = scores.requires_grad() ? slice(scores, 1, branch, branch + 1) : Tensor();
    if (here.size() < branch_of.size()) {
      const Tensor chosen = indices(here, scores.context());
      next.x = select_rows(group.x, chosen);
      if (score.defined()) score = gather(score, chosen);
      if (next.factor.defined()) next.factor = gather(next.factor, chosen);
    }
    if (score.defined()) {  // straight through: 1, with the gradient of the score
      const Tensor one = affine(score - score.detach(), 1, 1);
      next.factor = next.factor.defined() ? next.factor * one : one;
    }
    arrive(branch == 0 ? expert : first_other + branch - 1, std::move(next));
  }
}

Tensor Mixture::Routing::output() const {
  Tensor rows = outputs_.size() == 1 ? outputs_[0] : concat(outputs_, 0);
  if (!std::is_sorted(order_.begin(), order_.end())) {
    Rows place(order_.size());  // of each row in the outputs
    for (std::size_t i = 0; i < order_.size(); ++i)
      place[static_cast<std::size_t>(order_[i])] = static_cast<std::int32_t>(i);
    rows = gather(rows, indices(place, rows.context()));
  }
  if (shape_.rank() == 2) return rows;
  return to_layout(reshape(rows, {all_rows_, shape_[1], shape_[2], shape_[3]}), layout_);
}

Tensor Mixture::Routing::weights() const {
  const auto experts = static_cast<std::size_t>(mixture_.experts());
  std::vector<float> weights(order_.size() * experts);
  for (std::size_t i = 0; i < order_.size(); ++i)
    weights[static_cast<std::size_t>(order_[i]) * experts + static_cast<std::size_t>(experts_[i])] = 1;
  return Tensor::from(outputs_[0].context(), {all_rows_, mixture_.experts()}, weights);
}

Tensor Mixture::forward(const Tensor& x, Pass& pass) {
  return gating_ == Gating::soft ? forward_soft(x, pass) : forward_hard(x, pass);
}

Tensor Mixture::forward_hard(const Tensor& x, Pass& pass) {
  if (pass.members != 0) fail("[mixture] a stack cannot have a mixture with hard gates");
  const Routing routing(*this, x, pass);
  if (pass.wants_usage) pass.usage.push_back({this, routing.weights(), routing.newest_gate()});
  return routing.output();
}

Tensor Mixture::forward_soft(const Tensor& x, Pass& pass) {
  std::vector<Tensor> outputs;
  outputs.reserve(experts_.size());
  for (auto& expert : experts_) outputs.push_back(expert->forward(x, pass));
  const Tensor first_scores = softmax(gate_->forward(x, pass));
  std::vector<Tensor> scores;
  for (const Split& split : splits_) scores.push_back(softmax(split.gate->forward(x, pass)));
  if (pass.wants_usage) pass.usage.push_back({this, weights(first_scores, scores), {}});
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
  std::unique_ptr<Module> gate = redrawn(*gate_, gate_outputs(into, gating_), init);
  const Module& copied = *experts_[static_cast<std::size_t>(expert)];
  Context& context = named_state(*gate_).at(0).second.context();
  for (std::int64_t k = 1; k < into; ++k) experts_.push_back(copied.clone(context));
  splits_.push_back({expert, into, std::move(gate)});
}

void Mixture::shift_newest_gate(const std::vector<float>& shift) {
  if (splits_.empty()) fail("[mixture] no split whose gate could be shifted");
  const NoGrad off;
  const Tensor bias = named_parameters(*splits_.back().gate).back().second;
  if (bias.count() != std::ssize(shift)) fail("[mixture] a shift of ", shift.size(), " scores for a gate of ", bias.count());
  bias.copy_from(bias + tensor_of(bias.context(), bias.shape(), {shift.begin(), shift.end()}, bias.dtype()));
}

void Mixture::children(const ChildVisitor& visitor) {
  visitor("gate", *gate_);
  for (std::size_t k = 0; k < experts_.size(); ++k) visitor("expert." + std::to_string(k), *experts_[k]);
  for (std::size_t i = 0; i < splits_.size(); ++i) visitor("split." + std::to_string(i) + ".gate", *splits_[i].gate);
}

Mixture::Mixture(const Structure& structure)
    : gate_(structure.child("gate")),
      experts_(structure.children("experts")),
      splits_(splits_of(structure)),
      gating_(structure.has("hard") && structure.flag("hard") ? Gating::hard : Gating::soft) {
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
  if (gating_ == Gating::hard) structure["hard"] = true;
  for (const Split& split : splits_)
    structure["splits"].push_back({{"expert", split.expert}, {"into", split.into}, {"gate", split.gate->structure()}});
  return structure;
}

std::unique_ptr<Module> Mixture::clone(Context& context) const {
  std::vector<Split> splits;
  for (const Split& split : splits_) splits.push_back({split.expert, split.into, split.gate->clone(context)});
  return std::unique_ptr<Module>(
      new Mixture(gate_->clone(context), clones_of(experts_, context), std::move(splits), gating_));
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
