#pragma once
#include "engine/module.h"

namespace alma {

class Structure;

/// layer_norm() with its gain and bias, which start as 1 and 0.
class LayerNorm final : public Module {
 public:
  static constexpr const char* type = "layer_norm";
  LayerNorm(Context& context, std::int64_t width, DType dtype = DType::f32);
  explicit LayerNorm(const Structure& structure);
  /// x [.., width] -> the same shape.
  Tensor forward(const Tensor& x, Pass& pass) override;
  void visit(const Visitor& visitor, const std::string& prefix) override;
  nlohmann::json structure() const override;
  std::unique_ptr<Module> clone(Context& context) const override;

 private:
  LayerNorm(const LayerNorm& other, Context& context);
  Tensor weight_, bias_;
};

}  // namespace alma
