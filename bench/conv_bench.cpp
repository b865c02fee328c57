// Convolutions and image primitives at the shapes of VGG19 (batch 128, h channels, 3 x 3, "first": from 3 channels):
// conv/<primitive>/h<h>_<size> and images/..., in the layout that the device prefers.
#include "bench/bench.h"
#include "kernels/backend.h"

namespace alma::bench {

namespace {

constexpr std::int64_t kBatch = 128;

/// Images and what belongs to them, in the device's layout.
struct Layer {
  Suite& suite;
  std::int64_t channels, size;

  Shape shape(std::int64_t scale = 1) const { return {kBatch, channels, size / scale, size / scale}; }
  Tensor images(std::int64_t scale = 1, DType dtype = DType::f32) const {
    const Layout layout = suite.context.backend().image_layout();
    const Tensor tensor = Tensor::empty(suite.context, shape(scale), dtype, layout);
    const std::int64_t stored = stored_count(shape(scale), layout);
    suite.context.backend().fill({tensor.out().data, dtype, {stored}}, 1);
    return tensor;
  }
  In in(const Tensor& tensor) const { return out(tensor); }
  Out out(const Tensor& tensor) const {
    Out view = tensor.out();
    view.layout = tensor.layout();
    return view;
  }
  std::string name() const { return "h" + std::to_string(channels) + "_" + std::to_string(size); }
  Count elements() const { return static_cast<Count>(shape().count()); }
};

/// From `inputs` channels to the layer's.
void add_convolutions(Suite& suite, const Layer& layer, std::int64_t inputs, const std::string& shape) {
  const Layer from{suite, inputs, layer.size};
  const ConvGeometry geometry{.padding_h = 1, .padding_w = 1};
  const Count weights = static_cast<Count>(9 * inputs * layer.channels);
  const Count macs = weights * static_cast<Count>(kBatch * layer.size * layer.size);
  const Declared declared{Cost{macs, 2 * macs, 4 * (from.elements() + layer.elements() + weights)}, 0, Traffic::copy};
  const auto add_one = [&](const char* primitive, const auto& call) {
    const std::string name = std::string("conv/") + primitive + "/" + shape;
    if (suite.too_large(name, static_cast<double>(2 * macs))) return;
    const auto prepare = [layer, from, geometry, call]() -> Work {
      const Tensor x = from.images(), y = layer.images(), w = ones(layer.suite, {layer.channels, from.channels, 3, 3});
      const Tensor bias = ones(layer.suite, {layer.channels});
      return [=] { call(layer.suite.context.backend(), from.out(x), w.out(), bias.out(), geometry, layer.out(y)); };
    };
    add(suite, name, prepare, declared);
  };
  using G = ConvGeometry;
  add_one("forward", [](Backend& b, const Out& x, const Out& w, const Out& bias, const G& g, const Out& y) {
    b.conv2d(x, w, bias, g, y);
  });
  add_one("data_gradient", [](Backend& b, const Out& x, const Out& w, const Out&, const G& g, const Out& y) {
    b.conv2d_data_gradient(y, w, g, x);
  });
  add_one("weight_gradient", [](Backend& b, const Out& x, const Out& w, const Out& bias, const G& g, const Out& y) {
    b.conv2d_weight_gradient(x, y, g, w, bias);
  });
}

/// Batch normalisation with ReLU and pooling 2 x 2; `moved`: elements that must be read and written.
void add_layers(Suite& suite, const Layer& layer) {
  const auto add_one = [&](const char* primitive, Count moved, const auto& prepare) {
    const Declared declared{Cost{0, 0, moved}, 0, Traffic::copy};
    add(suite, std::string("images/") + primitive + "/" + layer.name(), prepare, declared);
  };
  const Count bytes = 4 * layer.elements();
  const auto parameters = [layer] { return ones(layer.suite, {layer.channels}); };
  add_one("batch_norm", 2 * bytes, [layer, parameters]() -> Work {
    const Tensor x = layer.images(), y = layer.images(), one = parameters(), mean = parameters(), rstd = parameters();
    return [=] {
      layer.suite.context.backend().batch_norm(layer.in(x), one, one, {.relu = true}, {}, {}, layer.out(y), mean.out(),
                                               rstd.out());
    };
  });
  add_one("batch_norm_backward", 3 * bytes, [layer, parameters]() -> Work {
    const Tensor x = layer.images(), dy = layer.images(), dx = layer.images(), one = parameters();
    const Tensor dgamma = parameters(), dbeta = parameters();
    return [=] {
      layer.suite.context.backend().batch_norm_backward(layer.in(x), one, one, one, one, layer.in(dy), layer.out(dx),
                                                        dgamma.out(), dbeta.out());
    };
  });
  constexpr PoolWindow window{2, 2, 2};
  add_one("max_pool", bytes + 5 * bytes / 16, [layer, window]() -> Work {
    const Tensor x = layer.images(), y = layer.images(2), place = layer.images(2, DType::u8);
    return [=] { layer.suite.context.backend().max_pool(layer.in(x), window, layer.out(y), layer.out(place)); };
  });
  add_one("max_pool_backward", bytes + 5 * bytes / 16, [layer, window]() -> Work {
    const Tensor dx = layer.images(), dy = layer.images(2), place = layer.images(2, DType::u8);
    return [=] { layer.suite.context.backend().max_pool_backward(layer.in(dy), layer.in(place), window, layer.out(dx)); };
  });
}

/// CIFAR-10's batches, cropped and mirrored.
void add_gather(Suite& suite) {
  const Layer layer{suite, 3, 32};
  const Declared declared{Cost{0, 0, 5 * layer.elements()}, 0, Traffic::copy};
  add(
      suite, "images/gather_augmented",
      [layer]() -> Work {
        Context& context = layer.suite.context;
        const Tensor images = Tensor::zeros(context, {1000, 3, 32, 32}, DType::u8), labels = zero_indices(layer.suite, 1000);
        std::vector<std::int32_t> numbers(kBatch);
        for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<std::int32_t>(i * 997 % 1000);
        const Tensor indices = Tensor::from(context, {kBatch}, numbers), y = zero_indices(layer.suite, kBatch);
        const Tensor state = Tensor::zeros(context, {sizeof(StepState)}, DType::u8), x = layer.images();
        const ImageAugmentation augmentation{4, {}, true, {1, static_cast<const StepState*>(state.in().data)}};
        return [=] {
          layer.suite.context.backend().gather_images(images, labels, indices, {}, layer.out(x), y.out(), augmentation);
        };
      },
      declared);
}

}  // namespace

void register_convolutions(Suite& suite) {
  for (const std::int64_t channels : {4, 16, 64})
    for (const std::int64_t size : {32, 16, 8, 4, 2}) {
      const Layer layer{suite, channels, size};
      add_convolutions(suite, layer, channels, layer.name());
      if (size == 32) add_convolutions(suite, layer, 3, "h" + std::to_string(channels) + "_first");
      add_layers(suite, layer);
    }
  add_gather(suite);
}

}  // namespace alma::bench
