#include "models/vgg.h"

#include <array>

#include "engine/nn_images.h"
#include "engine/ops_conv.h"
#include "engine/ops_images.h"
#include "engine/ops_shape.h"
#include "engine/structure.h"

namespace alma {

namespace {

constexpr std::int64_t kSize = 32, kGateSize = 4;

class MaxPool final : public Module {
 public:
  static constexpr const char* type = "max_pool";
  MaxPool() = default;
  explicit MaxPool(const Structure&) {}
  Tensor forward(const Tensor& x, Pass&) override { return max_pool(x, {2, 2, 2}); }
  nlohmann::json structure() const override { return {{"type", type}}; }
  std::unique_ptr<Module> clone(Context&) const override { return std::make_unique<MaxPool>(); }
};

// Reorders a groups of b rows each into b groups of a rows each.
Tensor regrouped(const Tensor& x, std::int64_t a, std::int64_t b) {
  return reshape(swap_first_two(reshape(x, {a, b, -1})), {b * a, -1});
}

/// The gate: one score per image and expert, from a Linear on the image averaged to 4 x 4. A stack gives [n * members,
/// experts], the members of one image next to one another, as mix() expects.
class ImageGate final : public Module, public Redrawable {
 public:
  static constexpr const char* type = "image_gate";
  explicit ImageGate(std::unique_ptr<Module> linear) : linear_(std::move(linear)) {}
  explicit ImageGate(const Structure& structure) : linear_(structure.child("linear")) {}
  Tensor forward(const Tensor& x, Pass& pass) override {
    const Tensor pooled = adaptive_average_pool(x, kGateSize, kGateSize);
    const std::int64_t n = x.dim(0), members = pass.members;
    if (members == 0) return linear_->forward(reshape(pooled, {n, -1}), pass);
    pass.in_channels = false;
    const Tensor scores = linear_->forward(regrouped(pooled, n, members), pass);
    pass.in_channels = true;
    return regrouped(scores, members, n);
  }
  void children(const ChildVisitor& visitor) override { visitor("", *linear_); }
  nlohmann::json structure() const override { return {{"type", type}, {"linear", linear_->structure()}}; }
  std::unique_ptr<Module> clone(Context& context) const override {
    return std::make_unique<ImageGate>(linear_->clone(context));
  }
  std::unique_ptr<Module> redrawn(std::int64_t outputs, RandomStream& init) const override {
    return std::make_unique<ImageGate>(alma::redrawn(*linear_, outputs, init));
  }

 private:
  std::unique_ptr<Module> linear_;
};

class Vgg19 final : public Module {
 public:
  static constexpr const char* type = "vgg19";
  Vgg19(std::int64_t channels, std::unique_ptr<Module> blocks, std::unique_ptr<Module> output)
      : channels_(channels), blocks_(std::move(blocks)), output_(std::move(output)) {}
  explicit Vgg19(const Structure& structure)
      : channels_(structure.size("channels")), blocks_(structure.child("blocks")), output_(structure.child("output")) {}
  Tensor forward(const Tensor& x, Pass& pass) override {
    if (pass.members != 0) return forward_of_stack(x, x.dim(0) / pass.members, pass);
    const Tensor features = blocks_->forward(images_of(x, channels_, kSize, kSize), pass);
    return output_->forward(reshape(to_layout(features, Layout::row_major), {x.dim(0), -1}), pass);
  }
  void children(const ChildVisitor& visitor) override {
    visitor("", *blocks_);
    visitor("output", *output_);
  }
  nlohmann::json structure() const override {
    return {{"type", type}, {"channels", channels_}, {"blocks", blocks_->structure()}, {"output", output_->structure()}};
  }
  std::unique_ptr<Module> clone(Context& context) const override {
    return std::make_unique<Vgg19>(channels_, blocks_->clone(context), output_->clone(context));
  }

 private:
  // Puts the i-th images of all members next to one another, so that the convolutions have groups.
  Tensor forward_of_stack(const Tensor& x, std::int64_t n, Pass& pass) {
    const std::int64_t members = pass.members;
    const Tensor side_by_side = reshape(regrouped(dense(x), members, n), {n, -1});
    pass.in_channels = true;
    const Tensor features =
        to_layout(blocks_->forward(images_of(side_by_side, members * channels_, kSize, kSize), pass), Layout::row_major);
    pass.in_channels = false;
    return output_->forward(regrouped(features, n, members), pass);
  }

  std::int64_t channels_;
  std::unique_ptr<Module> blocks_, output_;
};

}  // namespace

void add_vgg_types(ModuleTypes& types) {
  types.add<MaxPool>();
  types.add<ImageGate>();
  types.add<Vgg19>();
}

std::unique_ptr<Module> make_vgg19(Context& context, const VggSettings& settings, RandomStream init, DType dtype) {
  const std::int64_t h = settings.width;
  if (settings.experts < 1) fail("[vgg19] experts >= 1, got ", settings.experts);
  const auto make_block = [&](std::int64_t in, int convolutions) {
    auto block = std::make_unique<Sequential>();
    for (int i = 0; i < convolutions; ++i) {
      block->add("conv." + std::to_string(i),
                 std::make_unique<Conv2d>(context, i == 0 ? in : h, h, 3, settings.conv_bias, init, dtype));
      block->add("norm." + std::to_string(i), std::make_unique<BatchNorm2d>(context, h, true, dtype));
    }
    block->add("pool", std::make_unique<MaxPool>());
    return block;
  };
  const auto mixture_of = [&](std::unique_ptr<Module> expert) -> std::unique_ptr<Module> {
    std::vector<std::unique_ptr<Module>> experts;
    for (std::int64_t k = 1; k < settings.experts; ++k) experts.push_back(expert->clone(context));
    experts.push_back(std::move(expert));
    auto gate = std::make_unique<Linear>(context, kGateSize * kGateSize * h, gate_outputs(settings.experts, settings.gating),
                                         false, init, dtype);
    return std::make_unique<Mixture>(std::make_unique<ImageGate>(std::move(gate)), std::move(experts), settings.gating);
  };
  auto blocks = std::make_unique<Sequential>();
  constexpr std::array convolutions{2, 2, 4, 4, 4};
  for (std::size_t b = 0; b < convolutions.size(); ++b) {
    std::unique_ptr<Module> block = make_block(b == 0 ? settings.channels : h, convolutions[b]);
    if (b > 0 && settings.experts > 1) block = mixture_of(std::move(block));
    blocks->add("block." + std::to_string(b), std::move(block));
  }
  return std::make_unique<Vgg19>(settings.channels, std::move(blocks),
                                 std::make_unique<Linear>(context, h, settings.classes, false, init, dtype));
}

}  // namespace alma
