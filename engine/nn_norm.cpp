#include "engine/nn_norm.h"

#include "engine/ops_norm.h"
#include "engine/structure.h"

namespace alma {

LayerNorm::LayerNorm(Context& context, std::int64_t width, DType dtype)
    : weight_(Tensor::full(context, {width}, dtype, 1).set_requires_grad(true)),
      bias_(Tensor::zeros(context, {width}, dtype).set_requires_grad(true)) {}

LayerNorm::LayerNorm(const LayerNorm& other, Context& context)
    : Module(), weight_(clone_state(other.weight_, context)), bias_(clone_state(other.bias_, context)) {}

LayerNorm::LayerNorm(const Structure& structure)
    : weight_(structure.parameter({structure.size("width")})), bias_(structure.parameter({structure.size("width")})) {}

nlohmann::json LayerNorm::structure() const {
  return {{"type", type}, {"width", weight_.dim(0)}, {"dtype", name_of(weight_.dtype())}};
}

Tensor LayerNorm::forward(const Tensor& x, Pass& /*pass*/) { return layer_norm(x, weight_, bias_); }

void LayerNorm::visit(const Visitor& visitor, const std::string& prefix) {
  visitor(prefix + "weight", weight_);
  visitor(prefix + "bias", bias_);
}

std::unique_ptr<Module> LayerNorm::clone(Context& context) const {
  return std::unique_ptr<Module>(new LayerNorm(*this, context));
}

}  // namespace alma
