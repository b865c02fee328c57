#pragma once
#include <array>

#include "engine/nn.h"

namespace alma {

// A stack of k of these modules takes images with k times as many channels, [n, k * channels, h, w]: the images of the
// members next to one another.

/// A square convolution with stride 1 that keeps the size of images: padding (kernel - 1) / 2, kernel odd. weight [out, in,
/// kernel, kernel], bias [out] optional. PyTorch's default initialisation: U(-1/sqrt(in kernel^2), 1/sqrt(in kernel^2)) for
/// both, drawn from `init` in the order weight, bias.
class Conv2d final : public Module {
 public:
  static constexpr const char* type = "conv2d";
  Conv2d(Context& context, std::int64_t in, std::int64_t out, std::int64_t kernel, bool bias, RandomStream& init,
         DType dtype = DType::f32);
  explicit Conv2d(const Structure& structure);
  /// x [n, in, h, w] -> [n, out, h, w].
  Tensor forward(const Tensor& x, Pass& pass) override;
  void visit(const Visitor& visitor, const std::string& prefix) override;
  nlohmann::json structure() const override;
  std::unique_ptr<Module> clone(Context& context) const override;

  const Tensor& weight() const { return weight_; }
  const Tensor& bias() const { return bias_; }  // undefined if there is none
  /// The geometry that keeps the size of images.
  ConvGeometry geometry() const;
  /// Gives the layer other parameters, weight [out, in, kernel, kernel] and bias [out] of any sizes; a bias as before.
  void resize(const Tensor& weight, const Tensor& bias);

 private:
  Conv2d(const Conv2d& other, Context& context);
  std::int64_t in_, out_, kernel_;
  Tensor weight_, bias_;
};

/// Batch normalisation of images, optionally followed by ReLU. A training pass uses the batch's statistics and updates the
/// running ones; an evaluation uses the running ones. Parameters "weight" (1 at first) and "bias" (0); state "running_mean"
/// (0) and "running_var" (1): PyTorch's names and defaults.
class BatchNorm2d final : public Module {
 public:
  static constexpr const char* type = "batch_norm2d";
  BatchNorm2d(Context& context, std::int64_t channels, bool relu, DType dtype = DType::f32);
  explicit BatchNorm2d(const Structure& structure);
  /// x [n, channels, h, w].
  Tensor forward(const Tensor& x, Pass& pass) override;
  void visit(const Visitor& visitor, const std::string& prefix) override;
  nlohmann::json structure() const override;
  std::unique_ptr<Module> clone(Context& context) const override;

  const BatchNormRule& rule() const { return rule_; }
  /// weight, bias, running_mean and running_var.
  std::array<Tensor, 4> tensors() const { return {weight_, bias_, running_mean_, running_var_}; }
  /// Gives the layer others, [channels] of any number.
  void resize(const std::array<Tensor, 4>& tensors);

 private:
  BatchNorm2d(const BatchNorm2d& other, Context& context);
  std::int64_t channels_;
  Tensor weight_, bias_, running_mean_, running_var_;
  BatchNormRule rule_;
};

}  // namespace alma
