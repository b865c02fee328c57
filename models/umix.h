#pragma once
#include <memory>
#include <vector>

#include "engine/nn.h"

namespace alma {

/// The model of UMix: the logits of several models of equal outputs, summed (the paper's figures) or averaged (its text),
/// and trained by one loss on the result (Caccia et al. 2022, section 4.2). The sum makes the logits, and the gradients of
/// each member, k times as large.
class UniformMixture final : public Module {
 public:
  static constexpr const char* type = "uniform_mixture";
  /// At least one member.
  UniformMixture(std::vector<std::unique_ptr<Module>> members, bool average);
  explicit UniformMixture(const Structure& structure);
  Tensor forward(const Tensor& x, Pass& pass) override;
  void children(const ChildVisitor& visitor) override;
  nlohmann::json structure() const override;
  std::unique_ptr<Module> clone(Context& context) const override;

 private:
  std::vector<std::unique_ptr<Module>> members_;
  bool average_;
};

}  // namespace alma
