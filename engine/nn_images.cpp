#include "engine/nn_images.h"

#include <cmath>

#include "engine/ops_conv.h"
#include "engine/ops_shape.h"

namespace alma {

namespace {

// One number per channel: of a stack, the channels of all members.
Tensor channels(const Tensor& x) { return x.defined() && x.shape().rank() == 2 ? reshape(x, {-1}) : x; }

}  // namespace

Conv2d::Conv2d(Context& context, std::int64_t in, std::int64_t out, std::int64_t kernel, bool bias, RandomStream& init,
               DType dtype) {
  if (in < 1 || out < 1 || kernel < 1 || kernel % 2 == 0)
    fail("[conv2d] channels of at least 1 and an odd kernel, got in = ", in, ", out = ", out, ", kernel = ", kernel);
  const double bound = 1 / std::sqrt(static_cast<double>(in * kernel * kernel));
  weight_ = uniform_parameter(context, {out, in, kernel, kernel}, bound, init, dtype);
  if (bias) bias_ = uniform_parameter(context, {out}, bound, init, dtype);
}

Conv2d::Conv2d(const Conv2d& other, Context& context)
    : Module(),
      weight_(clone_state(other.weight_, context)),
      bias_(other.bias_.defined() ? clone_state(other.bias_, context) : Tensor()) {}

Tensor Conv2d::forward(const Tensor& x, Pass&) {
  const bool stack = weight_.shape().rank() == 5;
  const std::int64_t kernel = weight_.dim(stack ? 3 : 2), padding = (kernel - 1) / 2;
  ConvGeometry geometry{.padding_h = padding, .padding_w = padding};
  if (!stack) return conv2d(x, weight_, bias_, geometry);
  geometry.groups = weight_.dim(0);
  return conv2d(x, reshape(weight_, {-1, weight_.dim(2), kernel, kernel}), channels(bias_), geometry);
}

void Conv2d::visit(const Visitor& visitor, const std::string& prefix) {
  visitor(prefix + "weight", weight_);
  if (bias_.defined()) visitor(prefix + "bias", bias_);
}

std::unique_ptr<Module> Conv2d::clone(Context& context) const { return std::unique_ptr<Module>(new Conv2d(*this, context)); }

BatchNorm2d::BatchNorm2d(Context& context, std::int64_t channels, bool relu, DType dtype)
    : weight_(Tensor::full(context, {channels}, dtype, 1).set_requires_grad(true)),
      bias_(Tensor::zeros(context, {channels}, dtype).set_requires_grad(true)),
      running_mean_(Tensor::zeros(context, {channels}, dtype)),
      running_var_(Tensor::full(context, {channels}, dtype, 1)),
      rule_{.relu = relu} {}

BatchNorm2d::BatchNorm2d(const BatchNorm2d& other, Context& context)
    : Module(),
      weight_(clone_state(other.weight_, context)),
      bias_(clone_state(other.bias_, context)),
      running_mean_(clone_state(other.running_mean_, context)),
      running_var_(clone_state(other.running_var_, context)),
      rule_(other.rule_) {}

Tensor BatchNorm2d::forward(const Tensor& x, Pass& pass) {
  return (pass.training() ? batch_norm : batch_norm_inference)(x, channels(weight_), channels(bias_), rule_,
                                                               channels(running_mean_), channels(running_var_));
}

void BatchNorm2d::visit(const Visitor& visitor, const std::string& prefix) {
  visitor(prefix + "weight", weight_);
  visitor(prefix + "bias", bias_);
  visitor(prefix + "running_mean", running_mean_);
  visitor(prefix + "running_var", running_var_);
}

std::unique_ptr<Module> BatchNorm2d::clone(Context& context) const {
  return std::unique_ptr<Module>(new BatchNorm2d(*this, context));
}

}  // namespace alma
