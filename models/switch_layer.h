#pragma once
#include "base/random.h"
#include "engine/module.h"
#include "engine/ops_routing.h"

namespace alma {

class Structure;

/// The sizes and choices of a Switch layer.
struct SwitchSettings {
  std::int64_t width = 0, hidden = 0;  // of a token, and of an expert's hidden layer
  std::int64_t experts = 2;            // 1 .. 1024
  double capacity_factor = 1;          // above 0: an expert takes ceil(factor * tokens / experts) tokens of a training pass
  double balance = 0.01;               // factor of the balance loss; 0: none
  bool gelu = false;                   // in place of ReLU
};

/// The feed-forward layer of a Switch Transformer (Fedus et al., JMLR 2022, Section 2): a router without bias sends each
/// token to one of several experts relu(x W1^T + b1) W2^T + b2, whose output is scaled by the router's probability. In
/// training an expert takes tokens up to its capacity, those of earlier rows first; a token beyond it gets zeros, so that
/// the residual connection alone carries it. The balance loss joins the pass's penalties. An evaluation drops nothing.
///
/// Tokens share a capacity with those of their pass: a micro-batch is a pass of its own.
class SwitchLayer final : public Module {
 public:
  static constexpr const char* type = "switch";
  /// Weights are drawn from N(0, init_std^2), biases are 0.
  SwitchLayer(Context& context, const SwitchSettings& settings, double init_std, RandomStream& init,
              DType dtype = DType::f32);
  explicit SwitchLayer(const Structure& structure);
  /// x [tokens, width] -> the same shape. A pass that asks for usage gets the router's probabilities.
  Tensor forward(const Tensor& x, Pass& pass) override;
  void visit(const Visitor& visitor, const std::string& prefix) override;
  nlohmann::json structure() const override;
  std::unique_ptr<Module> clone(Context& context) const override;

  std::int64_t experts() const { return settings_.experts; }

 private:
  SwitchLayer(const SwitchLayer& other, Context& context);
  Routing route(const Tensor& x, bool training) const;

  SwitchSettings settings_;
  Tensor router_;                 // [experts, width]
  Tensor in_weight_, in_bias_;    // [experts, hidden, width], [experts, hidden]
  Tensor out_weight_, out_bias_;  // [experts, width, hidden], [experts, width]
};

}  // namespace alma
