// Benchmarks of the kernels that fetch data and update weights, and of the vendor's products.
#include "bench/gemm_shapes.h"
#include "bench/kernels_bench.h"

namespace alma::bench {

namespace {

void register_images(Suite& suite, const std::string& name, const Shape& images, const ImageAugmentation& augmentation) {
  constexpr std::int64_t n = 128;
  add_kernel(suite, "gather_images/" + name, [=](Arrays& a) -> Call {
    ImageAugmentation with = augmentation;
    if (with) with.place = {1, a.state()};
    return [x = a.pixels(images, n), labels = a.indices_part({images[0]}, 10, n), indices = a.numbers({n}, a.every(n)),
            y = a.out_images({n, images[1], images[2], images[3]}), classes = a.out({n}, DType::i32),
            with](Backend& b) { b.gather_images(x, labels, indices, {}, y, classes, with); };
  });
}

void register_tables(Suite& suite, std::int64_t entries, std::int64_t width, std::int64_t rows) {
  const Shape table{entries, width}, picked{rows, width};
  const std::string name = std::to_string(rows) + "x" + std::to_string(width);
  const double part = static_cast<double>(rows) / static_cast<double>(entries);
  add_kernel(suite, "gather_rows/" + name, [=](Arrays& a) -> Call {
    return [t = a.in_part(table, part), indices = a.numbers({rows}, a.every(rows)), y = a.out(picked)](Backend& b) {
      b.gather_rows(t, indices, y);
    };
  });
  add_kernel(suite, "scatter_add_rows/" + name, [=](Arrays& a) -> Call {
    return [dy = a.in(picked), indices = a.numbers({rows}, a.every(rows)),
            t = a.updated(table, 2 * picked.count())](Backend& b) { b.scatter_add_rows(dy, indices, t); };
  });
}

/// The tensors of a model: the paper's MLP, and a layer of a Transformer.
struct Model {
  const char* name;
  std::vector<Shape> tensors;
};

void register_rule(Suite& suite, const Model& model, const std::string& name, const OptimizerRule& rule) {
  add_kernel(suite, name + "/" + model.name, [=](Arrays& a) -> Call {
    const int states = states_of(rule);
    std::vector<OptimizerSlot> slots;
    for (const Shape& shape : model.tensors)
      slots.push_back(
          {a.update(shape), a.in(shape), states > 0 ? a.update(shape) : Out{}, states > 1 ? a.update(shape) : Out{}});
    return [slots, rule, state = a.state()](Backend& b) { b.optimize(slots, rule, state); };
  });
}

void register_updates(Suite& suite, const Model& model) {
  register_rule(suite, model, "sgd", SgdRule{});
  register_rule(suite, model, "sgd_momentum", SgdRule{0.9, 0, false});
  register_rule(suite, model, "adadelta", AdadeltaRule{});
  register_rule(suite, model, "adam", AdamRule{});
  register_rule(suite, model, "rmsprop", RmspropRule{});
  register_rule(suite, model, "rmsprop_momentum", RmspropRule{.momentum = 0.9});
  add_kernel(suite, std::string("gradient_norm/") + model.name, [=](Arrays& a) -> Call {
    std::vector<In> gradients;
    for (const Shape& shape : model.tensors) gradients.push_back(a.in(shape));
    return [gradients, norm = a.out({})](Backend& b) { b.gradient_norm(gradients, norm); };
  });
}

void register_product(Suite& suite, const GemmShape& s) {
  add_kernel(suite, std::string("matmul/") + s.name, [s](Arrays& a) -> Call {
    a.operations(s.m * s.n * s.k);
    const Shape left = s.transpose_a ? Shape{s.k, s.m} : Shape{s.m, s.k};
    const Shape right = s.transpose_b ? Shape{s.n, s.k} : Shape{s.k, s.n};
    return [x = a.in(left), w = a.in(right), y = a.out({s.m, s.n}), s](Backend& b) {
      b.matmul(x, s.transpose_a, w, s.transpose_b, y, {}, Math::f32);
    };
  });
}

// A hidden layer with its bias and ReLU, forward and backward.
void register_fused_products(Suite& suite, std::int64_t h) {
  constexpr std::int64_t n = 128;
  const std::string name = "/h" + std::to_string(h);
  add_kernel(suite, "matmul_bias_relu" + name, [=](Arrays& a) -> Call {
    a.operations(n * h * h);
    return [x = a.in({n, h}), w = a.in({h, h}), bias = a.in({h}), y = a.out({n, h})](Backend& b) {
      Epilogue epilogue;
      epilogue.bias = bias;
      epilogue.relu = true;
      b.matmul(x, false, w, true, y, epilogue, Math::f32);
    };
  });
  add_kernel(suite, "matmul_sums" + name, [=](Arrays& a) -> Call {
    a.operations(n * h * h);
    return [dz = a.in({n, h}), x = a.in({n, h}), dw = a.out({h, h}), dbias = a.out({h})](Backend& b) {
      Epilogue epilogue;
      epilogue.sums_of_a = dbias;
      b.matmul(dz, true, x, false, dw, epilogue, Math::f32);
    };
  });
  if (suite.context.backend().most_image_outputs() < h) return;
  add_kernel(suite, "matmul_images" + name, [=](Arrays& a) -> Call {
    a.operations(n * h * 784);
    const ImageRows x{a.pixels({1000, 1, 28, 28}, n), a.numbers({n}, a.every(n)), {}};
    return [x, w = a.in({h, 784}), y = a.out({n, h})](Backend& b) { b.matmul_images(x, w, y, {}); };
  });
  add_kernel(suite, "matmul_images_gradient" + name, [=](Arrays& a) -> Call {
    a.operations(n * h * 784);
    const ImageRows x{a.pixels({1000, 1, 28, 28}, n), a.numbers({n}, a.every(n)), {}};
    return [x, dy = a.in({n, h}), dw = a.out({h, 784})](Backend& b) { b.matmul_images_gradient(dy, x, dw); };
  });
}

void register_convolution(Suite& suite, const VggLayer& layer) {
  const std::int64_t c = layer.channels;
  const Shape images = layer.shape(), weights{c, c, 3, 3};
  const ConvGeometry geometry{1, 1, 1, 1, 1};
  const auto name = [&](const char* primitive) { return std::string(primitive) + "/" + layer.name(); };
  const std::int64_t macs = images.count() * 9 * c;
  add_kernel(suite, name("conv2d"), [=](Arrays& a) -> Call {
    a.operations(macs);
    return [x = a.in_images(images), w = a.in(weights), bias = a.in({c}), y = a.out_images(images), geometry](Backend& b) {
      b.conv2d(x, w, bias, geometry, y, Math::f32);
    };
  });
  add_kernel(suite, name("conv2d_data_gradient"), [=](Arrays& a) -> Call {
    a.operations(macs);
    return [dy = a.in_images(images), w = a.in(weights), dx = a.out_images(images), geometry](Backend& b) {
      b.conv2d_data_gradient(dy, w, geometry, dx, Math::f32);
    };
  });
  add_kernel(suite, name("conv2d_weight_gradient"), [=](Arrays& a) -> Call {
    a.operations(macs);
    return [x = a.in_images(images), dy = a.in_images(images), dw = a.out(weights), dbias = a.out({c}),
            geometry](Backend& b) { b.conv2d_weight_gradient(x, dy, geometry, dw, dbias, Math::f32); };
  });
}

}  // namespace

void register_data_kernels(Suite& suite) {
  register_images(suite, "mnist", {1000, 1, 28, 28}, {});
  register_images(suite, "cifar", {1000, 3, 32, 32}, {});
  ImageAugmentation augmented;
  augmented.pad = 4;
  augmented.flip = true;
  register_images(suite, "cifar_cut_and_flipped", {1000, 3, 32, 32}, augmented);
  register_tables(suite, 8192, 512, 512);
  register_tables(suite, 8192, 512, 4096);
  const Model mlp{"mlp_h64", {{64, 784}, {64}, {64, 64}, {64}, {10, 64}, {10}}};
  const Model layer{"transformer_layer", {{512, 1536}, {1536}, {512, 512}, {512}, {512, 2048}, {2048}, {2048, 512}, {512}}};
  for (const Model& model : {mlp, layer}) register_updates(suite, model);
}

void register_product_kernels(Suite& suite) {
  for (const GemmShape& shape : kGemmShapes)
    if (std::string(shape.name).starts_with("transformer/")) register_product(suite, shape);  // the others are in gemm/
  for (const std::int64_t h : {4, 16, 64}) register_fused_products(suite, h);
  for (const VggLayer& l : vgg_layers()) register_convolution(suite, l);
}

}  // namespace alma::bench
