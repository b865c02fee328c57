#include "models/vgg.h"

#include <array>

#include "engine/nn_images.h"
#include "engine/ops_conv.h"
#include "engine/ops_images.h"
#include "engine/ops_shape.h"
#include "models/mixture.h"

namespace alma {

namespace {

constexpr std::int64_t kSize = 32, kGateSize = 4;

class MaxPool final : public Module {
 public:
  Tensor forward(const Tensor& x, Pass&) override { return max_pool(x, {2, 2, 2}); }
  void visit(const Visitor&, const std::string&) override {}
  std::unique_ptr<Module> clone(Context&) const override { return std::make_unique<MaxPool>(); }
};

std::unique_ptr<Linear> clone_of(const Linear& linear, Context& context) {
  return std::unique_ptr<Linear>(static_cast<Linear*>(linear.clone(context).release()));
}

// Groups a of b rows each as groups b of a rows each.
Tensor regrouped(const Tensor& x, std::int64_t a, std::int64_t b) {
  return reshape(swap_first_two(reshape(x, {a, b, -1})), {b * a, -1});
}

/// One score per image and expert: a Linear on the image averaged to 4 x 4. A stack gives [n * members, experts], the
/// members of one image side by side, as mix() takes them.
class ImageGate final : public Module {
 public:
  explicit ImageGate(std::unique_ptr<Linear> linear) : linear_(std::move(linear)) {}
  Tensor forward(const Tensor& x, Pass& pass) override {
    const Tensor pooled = adaptive_average_pool(x, kGateSize, kGateSize);
    const std::int64_t n = x.dim(0), members = linear_->members();
    if (members == 1) return linear_->forward(reshape(pooled, {n, -1}), pass);
    return regrouped(linear_->forward(regrouped(pooled, n, members), pass), members, n);
  }
  void visit(const Visitor& visitor, const std::string& prefix) override { linear_->visit(visitor, prefix); }
  std::unique_ptr<Module> clone(Context& context) const override {
    return std::make_unique<ImageGate>(clone_of(*linear_, context));
  }

 private:
  std::unique_ptr<Linear> linear_;
};

class Vgg19 final : public Module {
 public:
  Vgg19(std::int64_t channels, std::unique_ptr<Module> blocks, std::unique_ptr<Linear> output)
      : channels_(channels), blocks_(std::move(blocks)), output_(std::move(output)) {}
  Tensor forward(const Tensor& x, Pass& pass) override {
    const std::int64_t members = output_->members();
    if (members > 1) return forward_of_stack(x, x.dim(0) / members, members, pass);
    const Tensor features = blocks_->forward(images_of(x, channels_, kSize, kSize), pass);
    return output_->forward(reshape(to_layout(features, Layout::row_major), {x.dim(0), -1}), pass);
  }
  void visit(const Visitor& visitor, const std::string& prefix) override {
    blocks_->visit(visitor, prefix);
    output_->visit(visitor, prefix + "output.");
  }
  std::unique_ptr<Module> clone(Context& context) const override {
    return std::make_unique<Vgg19>(channels_, blocks_->clone(context), clone_of(*output_, context));
  }

 private:
  // The i-th images of all members side by side, so that the convolutions have groups.
  Tensor forward_of_stack(const Tensor& x, std::int64_t n, std::int64_t members, Pass& pass) {
    const Tensor side_by_side = reshape(regrouped(dense(x), members, n), {n, -1});
    const Tensor features =
        to_layout(blocks_->forward(images_of(side_by_side, members * channels_, kSize, kSize), pass), Layout::row_major);
    return output_->forward(regrouped(features, n, members), pass);
  }

  std::int64_t channels_;
  std::unique_ptr<Module> blocks_;
  std::unique_ptr<Linear> output_;
};

}  // namespace

std::unique_ptr<Module> make_vgg19(Context& context, const VggSettings& settings, RandomStream init, DType dtype) {
  const std::int64_t h = settings.width;
  if (settings.experts < 1) fail("[vgg19] experts >= 1, got ", settings.experts);
  const auto make_block = [&](std::int64_t in, int convolutions) {
    auto block = std::make_unique<Sequential>();
    for (int i = 0; i < convolutions; ++i) {
      block->add("conv." + std::to_string(i), std::make_unique<Conv2d>(context, i == 0 ? in : h, h, 3, true, init, dtype));
      block->add("norm." + std::to_string(i), std::make_unique<BatchNorm2d>(context, h, true, dtype));
    }
    block->add("pool", std::make_unique<MaxPool>());
    return block;
  };
  const auto mixture_of = [&](std::unique_ptr<Module> expert) -> std::unique_ptr<Module> {
    std::vector<std::unique_ptr<Module>> experts;
    for (std::int64_t k = 1; k < settings.experts; ++k) experts.push_back(expert->clone(context));
    experts.push_back(std::move(expert));
    auto gate = std::make_unique<Linear>(context, kGateSize * kGateSize * h, settings.experts, false, init, dtype);
    return std::make_unique<Mixture>(std::make_unique<ImageGate>(std::move(gate)), std::move(experts));
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
