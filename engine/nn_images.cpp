#include "engine/nn_images.h"

#include <cmath>

#include "engine/ops_check.h"
#include "engine/ops_conv.h"
#include "engine/ops_shape.h"
#include "engine/structure.h"

namespace alma {

namespace {

void require_channels(const char* op, const Pass& pass) {
  if (pass.members != 0 && !pass.in_channels)
    fail("[", op, "] a stack takes its members' images side by side in the channels");
}

// One number per channel; in a stack, for the channels of all members.
Tensor channels(const Tensor& x, const Pass& pass) { return x.defined() && pass.members != 0 ? reshape(x, {-1}) : x; }

}  // namespace

Conv2d::Conv2d(Context& context, std::int64_t in, std::int64_t out, std::int64_t kernel, bool bias, RandomStream& init,
               DType dtype)
    : in_(in), out_(out), kernel_(kernel) {
  if (in < 1 || out < 1 || kernel < 1 || kernel % 2 == 0)
    fail("[conv2d] channels of at least 1 and an odd kernel, got in = ", in, ", out = ", out, ", kernel = ", kernel);
  const double bound = 1 / std::sqrt(static_cast<double>(in * kernel * kernel));
  weight_ = uniform_parameter(context, {out, in, kernel, kernel}, bound, init, dtype);
  if (bias) bias_ = uniform_parameter(context, {out}, bound, init, dtype);
}

Conv2d::Conv2d(const Conv2d& other, Context& context)
    : Module(),
      in_(other.in_),
      out_(other.out_),
      kernel_(other.kernel_),
      weight_(clone_state(other.weight_, context)),
      bias_(other.bias_.defined() ? clone_state(other.bias_, context) : Tensor()) {}

Conv2d::Conv2d(const Structure& structure)
    : in_(structure.size("in")), out_(structure.size("out")), kernel_(structure.size("kernel")) {
  if (kernel_ % 2 == 0) structure.refuse("the kernel must be odd, found ", kernel_);
  weight_ = structure.parameter({out_, in_, kernel_, kernel_});
  if (structure.flag("bias")) bias_ = structure.parameter({out_});
}

nlohmann::json Conv2d::structure() const {
  return {{"type", type},
          {"in", in_},
          {"out", out_},
          {"kernel", kernel_},
          {"bias", bias_.defined()},
          {"dtype", name_of(weight_.dtype())}};
}

Tensor Conv2d::forward(const Tensor& x, Pass& pass) {
  require_channels("conv2d", pass);
  if (pass.members == 0) return conv2d(x, weight_, bias_, geometry());
  ConvGeometry geometry = this->geometry();
  geometry.groups = pass.members;
  return conv2d(x, reshape(weight_, {-1, in_, kernel_, kernel_}), channels(bias_, pass), geometry);
}

ConvGeometry Conv2d::geometry() const {
  const std::int64_t padding = (kernel_ - 1) / 2;
  return {.padding_h = padding, .padding_w = padding};
}

void Conv2d::resize(const Tensor& weight, const Tensor& bias) {
  require_shape("conv2d", "weight", weight, {weight.dim(0), weight.dim(1), kernel_, kernel_});
  if (bias.defined() != bias_.defined()) fail("[conv2d] a layer keeps or lacks its bias");
  if (bias.defined()) require_shape("conv2d", "bias", bias, {weight.dim(0)});
  out_ = weight.dim(0);
  in_ = weight.dim(1);
  weight_ = weight.detach().set_requires_grad(true);
  if (bias.defined()) bias_ = bias.detach().set_requires_grad(true);
}

void Conv2d::visit(const Visitor& visitor, const std::string& prefix) {
  visitor(prefix + "weight", weight_);
  if (bias_.defined()) visitor(prefix + "bias", bias_);
}

std::unique_ptr<Module> Conv2d::clone(Context& context) const { return std::unique_ptr<Module>(new Conv2d(*this, context)); }

BatchNorm2d::BatchNorm2d(Context& context, std::int64_t channels, bool relu, DType dtype)
    : channels_(channels),
      weight_(Tensor::full(context, {channels}, dtype, 1).set_requires_grad(true)),
      bias_(Tensor::zeros(context, {channels}, dtype).set_requires_grad(true)),
      running_mean_(Tensor::zeros(context, {channels}, dtype)),
      running_var_(Tensor::full(context, {channels}, dtype, 1)),
      rule_{.relu = relu} {}

BatchNorm2d::BatchNorm2d(const BatchNorm2d& other, Context& context)
    : Module(),
      channels_(other.channels_),
      weight_(clone_state(other.weight_, context)),
      bias_(clone_state(other.bias_, context)),
      running_mean_(clone_state(other.running_mean_, context)),
      running_var_(clone_state(other.running_var_, context)),
      rule_(other.rule_) {}

BatchNorm2d::BatchNorm2d(const Structure& structure)
    : channels_(structure.size("channels")),
      weight_(structure.parameter({channels_})),
      bias_(structure.parameter({channels_})),
      running_mean_(structure.buffer({channels_})),
      running_var_(structure.buffer({channels_})),
      rule_{.relu = structure.flag("relu")} {}

nlohmann::json BatchNorm2d::structure() const {
  return {{"type", type}, {"channels", channels_}, {"relu", rule_.relu}, {"dtype", name_of(weight_.dtype())}};
}

Tensor BatchNorm2d::forward(const Tensor& x, Pass& pass) {
  require_channels("batch_norm", pass);
  return (pass.training() ? batch_norm : batch_norm_inference)(x, channels(weight_, pass), channels(bias_, pass), rule_,
                                                               channels(running_mean_, pass), channels(running_var_, pass));
}

void BatchNorm2d::resize(const std::array<Tensor, 4>& tensors) {
  for (const Tensor& tensor : tensors) require_shape("batch_norm", "every tensor", tensor, {tensors[0].count()});
  channels_ = tensors[0].count();
  weight_ = tensors[0].detach().set_requires_grad(true);
  bias_ = tensors[1].detach().set_requires_grad(true);
  running_mean_ = tensors[2].detach();
  running_var_ = tensors[3].detach();
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
