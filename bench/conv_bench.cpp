// Convolutions and image primitives at the shapes of VGG19 (batch 128, h channels, 3 x 3): conv/<primitive>/h<h>_<size> and
// images/..., in the layout that the device prefers.
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

void add_convolutions(Suite& suite, const Layer& layer) {
  const std::int64_t c = layer.channels;
  const ConvGeometry geometry{.padding_h = 1, .padding_w = 1};
  const Count weights = static_cast<Count>(9 * c * c), macs = weights * static_cast<Count>(kBatch * layer.size * layer.size);
  const Declared declared{Cost{macs, 2 * macs, 4 * (2 * layer.elements() + weights)}, 0, Traffic::copy};
  const auto add_one = [&](const char* primitive, const auto& call) {
    const std::string name = std::string("conv/") + primitive + "/" + layer.name();
    if (suite.too_large(name, static_cast<double>(2 * macs))) return;
    add(suite, name,
        [layer, geometry, call]() -> Work {
          const Tensor x = layer.images(), y = layer.images(), w = ones(layer.suite, {layer.channels, layer.channels, 3, 3});
          const Tensor bias = ones(layer.suite, {layer.channels});
          return [=] { call(layer.suite.context.backend(), layer.out(x), w.out(), bias.out(), geometry, layer.out(y)); };
        },
        declared);
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

}  // namespace

void register_convolutions(Suite& suite) {
  for (const std::int64_t channels : {4, 16, 64})
    for (const std::int64_t size : {32, 16, 8, 4, 2}) add_convolutions(suite, {suite, channels, size});
}

}  // namespace alma::bench
