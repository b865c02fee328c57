#pragma once
#include <memory>
#include <vector>

#include "engine/nn.h"

namespace alma {

/// How a mixture uses the scores of its gates.
enum class Gating {
  soft,  // all experts run, weighted by the scores (the paper's figures)
  hard,  // each row goes to one expert (the paper's text)
};

/// The scores that a gate among that many branches computes.
constexpr std::int64_t gate_outputs(std::int64_t branches, Gating gating) {
  return gating == Gating::hard ? branches - 1 : branches;
}

/// A mixture of experts. Soft: the sum over k of softmax(gate(x))_k * expert_k(x) (Caccia et al. 2022, section 4.2, as in
/// the official code: gate = Linear on the layer's input, trained by the loss alone).
///
/// Hard: each row goes to the branch of the largest score, the first among equals; a row costs one expert, and the gates on
/// its path, however many there are. Rows are sorted by expert, and each expert runs once, on its own. The gate gets its
/// gradient straight through: the output is expert(x) * (1 + s - stop(s)) with the score s of the branch taken, a factor for
/// each gate on the path, where stop() is a constant for the gradient. The first branch of a gate has the score 0 before the
/// softmax, so that a gate among n computes n - 1 scores. The choice waits for the device; a Stack cannot have such a
/// mixture.
///
/// It grows by splits: an expert becomes several equal ones below a gate of its own, which decides among them. Gates and
/// experts so form a tree whose leaves are the experts, and an expert's weight is the product of the gate scores along its
/// path. Every gate and every expert sees the layer's input.
class Mixture final : public Module {
 public:
  static constexpr const char* type = "mixture";
  static constexpr std::int64_t most_branches = 16;  // of a gate
  static constexpr std::int64_t most_experts = 1024;
  /// `gate`: x to scores [rows, experts], or [rows, experts - 1] if hard. `experts`: 1 to 16 functions of x with outputs of
  /// equal shape, at least 2 if hard.
  Mixture(std::unique_ptr<Module> gate, std::vector<std::unique_ptr<Module>> experts, Gating gating = Gating::soft);
  explicit Mixture(const Structure& structure);
  /// A pass that asks for usage gets the weights of all experts; if hard, 1 for the expert of the row and 0 for the others.
  Tensor forward(const Tensor& x, Pass& pass) override;
  void children(const ChildVisitor& visitor) override;
  nlohmann::json structure() const override;
  std::unique_ptr<Module> clone(Context& context) const override;

  std::int64_t experts() const { return static_cast<std::int64_t>(experts_.size()); }
  /// Splits an expert into `into` (2 to 16) copies of it: the expert itself and new ones, which become the last. The weights
  /// of their gate are drawn from `init` as those of a new Linear. The function stays the same, up to rounding, since the
  /// scores of the gate add up to 1. Throws Error if the first gate is not Redrawable, or beyond most_experts.
  void split(std::int64_t expert, std::int64_t into, RandomStream& init);
  /// Adds to the bias of the gate of the last split, [scores]. Throws Error without a split.
  void shift_newest_gate(const std::vector<float>& shift);
  Gating gating() const { return gating_; }

 private:
  struct Split {
    std::int64_t expert, into;  // expert number `expert` is one of `into`; the others were the last ones then
    std::unique_ptr<Module> gate;
  };
  class Routing;
  Mixture(std::unique_ptr<Module> gate, std::vector<std::unique_ptr<Module>> experts, std::vector<Split> splits,
          Gating gating)
      : gate_(std::move(gate)), experts_(std::move(experts)), splits_(std::move(splits)), gating_(gating) {}
  static std::vector<Split> splits_of(const Structure& structure);
  // The number of experts that there were before any split.
  std::int64_t first_experts() const;
  Tensor forward_soft(const Tensor& x, Pass& pass);
  Tensor forward_hard(const Tensor& x, Pass& pass);
  Tensor weights(const Tensor& first_scores, const std::vector<Tensor>& scores) const;

  std::unique_ptr<Module> gate_;
  std::vector<std::unique_ptr<Module>> experts_;
  std::vector<Split> splits_;  // in the order in which they were made
  Gating gating_;
};

/// All mixtures in a model, in the order of its children; one that is inside another follows it.
std::vector<Mixture*> mixtures_of(Module& model);

}  // namespace alma
