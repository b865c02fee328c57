#pragma once
#include <memory>
#include <vector>

#include "engine/nn.h"

namespace alma {

/// A soft mixture: the sum over k of softmax(gate(x))_k * expert_k(x); all experts always run. An expert may itself be a
/// mixture: nested mixtures form a tree, and a leaf's weight is the product of the gate scores along its path (Caccia et al.
/// 2022, section 4.2, as in the official code: gate = Linear on the layer's input, trained by the loss alone).
class Mixture final : public Module {
 public:
  static constexpr const char* type = "mixture";
  /// `gate`: x to scores [rows, experts]. `experts`: 1 to 16 functions of x with outputs of equal shape.
  Mixture(std::unique_ptr<Module> gate, std::vector<std::unique_ptr<Module>> experts);
  explicit Mixture(const Structure& structure);
  Tensor forward(const Tensor& x, Pass& pass) override;
  void children(const ChildVisitor& visitor) override;
  nlohmann::json structure() const override;
  std::unique_ptr<Module> clone(Context& context) const override;

 private:
  std::unique_ptr<Module> gate_;
  std::vector<std::unique_ptr<Module>> experts_;
};

}  // namespace alma
