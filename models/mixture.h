#pragma once
#include <memory>
#include <vector>

#include "engine/nn.h"

namespace alma {

/// A soft mixture: the sum over k of softmax(gate(x))_k * expert_k(x); all experts always run (Caccia et al. 2022, section
/// 4.2, as in the official code: gate = Linear on the layer's input, trained by the loss alone).
///
/// It grows by splits: an expert becomes several equal ones below a gate of its own, which decides among them. Gates and
/// experts so form a tree whose leaves are the experts, and an expert's weight is the product of the gate scores along its
/// path. Every gate and every expert sees the layer's input.
class Mixture final : public Module {
 public:
  static constexpr const char* type = "mixture";
  static constexpr std::int64_t most_branches = 16;  // of a gate
  static constexpr std::int64_t most_experts = 1024;
  /// `gate`: x to scores [rows, experts]. `experts`: 1 to 16 functions of x with outputs of equal shape.
  Mixture(std::unique_ptr<Module> gate, std::vector<std::unique_ptr<Module>> experts);
  explicit Mixture(const Structure& structure);
  /// A pass that asks for usage gets the weights of all experts.
  Tensor forward(const Tensor& x, Pass& pass) override;
  void children(const ChildVisitor& visitor) override;
  nlohmann::json structure() const override;
  std::unique_ptr<Module> clone(Context& context) const override;

  std::int64_t experts() const { return static_cast<std::int64_t>(experts_.size()); }
  /// Splits an expert into `into` (2 to 16) copies of it: the expert itself and new ones, which become the last. The weights
  /// of their gate are drawn from `init` as those of a new Linear. The function stays the same, up to rounding, since the
  /// scores of the gate add up to 1. Throws Error if the first gate is not Redrawable, or beyond most_experts.
  void split(std::int64_t expert, std::int64_t into, RandomStream& init);

 private:
  struct Split {
    std::int64_t expert, into;  // expert number `expert` is one of `into`; the others were the last ones then
    std::unique_ptr<Module> gate;
  };
  Mixture(std::unique_ptr<Module> gate, std::vector<std::unique_ptr<Module>> experts, std::vector<Split> splits)
      : gate_(std::move(gate)), experts_(std::move(experts)), splits_(std::move(splits)) {}
  static std::vector<Split> splits_of(const Structure& structure);
  // The number of experts that there were before any split.
  std::int64_t first_experts() const;
  Tensor weights(const Tensor& first_scores, const std::vector<Tensor>& scores) const;

  std::unique_ptr<Module> gate_;
  std::vector<std::unique_ptr<Module>> experts_;
  std::vector<Split> splits_;  // in the order in which they were made
};

/// All mixtures in a model, in the order of its children; one that is inside another follows it.
std::vector<Mixture*> mixtures_of(Module& model);

}  // namespace alma
