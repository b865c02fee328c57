// Benchmarks of the ops at the shapes of the MNIST networks: batch 128, 784 inputs, width h, 2 experts, 10 classes. Names
// that end in _train are forward and backward together.
#include "bench/bench.h"
#include "engine/autograd.h"
#include "engine/ops_elementwise.h"
#include "engine/ops_images.h"
#include "engine/ops_loss.h"
#include "engine/ops_matmul.h"
#include "engine/ops_mix.h"
#include "engine/ops_reduce.h"
#include "engine/ops_shape.h"

namespace alma::bench {

namespace {

constexpr std::int64_t kBatch = 128, kInputs = 784, kClasses = 10, kExperts = 2;

Tensor leaf(Suite& suite, const Shape& shape) { return ones(suite, shape).set_requires_grad(true); }

/// Forward without the tape, and forward and backward of the op `op(inputs)`; the cotangent is not a constant one.
void add_op(Suite& suite, const std::string& op, const std::string& shape, std::vector<Shape> shapes,
            std::function<Tensor(const std::vector<Tensor>&)> function) {
  const auto inputs = [&suite, shapes] {
    std::vector<Tensor> tensors;
    for (const Shape& size : shapes) tensors.push_back(leaf(suite, size));
    return tensors;
  };
  add(suite, "ops/" + op + shape, [=]() -> Work {
    return [x = inputs(), function] {
      const NoGrad off;
      function(x);
    };
  });
  add(suite, "ops/" + op + "_train" + shape, [=, &suite]() -> Work {
    const std::vector<Tensor> x = inputs();
    const Tensor cotangent = ones(suite, function(x).shape());
    return [x, cotangent, function] {
      function(x).backward(cotangent);
      for (const Tensor& tensor : x) tensor.clear_grad();
    };
  });
}

void register_layers(Suite& suite) {
  for (const std::int64_t h : {4, 16, 64}) {
    const std::string width = "/h" + std::to_string(h);
    const auto layer = [](const std::vector<Tensor>& t) { return linear(t[0], t[1], t[2], true); };
    add_op(suite, "linear_relu", width, {{kBatch, h}, {h, h}, {h}}, layer);
    // The first layer, whose input needs no gradient.
    add(suite, "ops/linear_relu_first" + width, [&suite, h]() -> Work {
      return [x = ones(suite, {kBatch, kInputs}), w = ones(suite, {h, kInputs}), b = ones(suite, {h})] {
        linear(x, w, b, true);
      };
    });
    add(suite, "ops/linear_relu_first_train" + width, [&suite, h]() -> Work {
      return [x = ones(suite, {kBatch, kInputs}), w = leaf(suite, {h, kInputs}), b = leaf(suite, {h}),
              dy = ones(suite, {kBatch, h})] {
        linear(x, w, b, true).backward(dy);
        w.clear_grad();
        b.clear_grad();
      };
    });
    add(suite, "ops/linear_weight_gradient" + width, [&suite, h]() -> Work {
      return [x = ones(suite, {kBatch, kInputs}), dz = ones(suite, {kBatch, h})] { matmul(dz, x, true, false); };
    });
    add_op(suite, "output_layer", width, {{kBatch, h}, {kClasses, h}, {kClasses}},
           [](const std::vector<Tensor>& t) { return linear(t[0], t[1], t[2]); });
    add_op(suite, "gate", width, {{kBatch, h}, {kExperts, h}, {kExperts}},
           [](const std::vector<Tensor>& t) { return softmax(linear(t[0], t[1], t[2])); });
    add_op(suite, "mix2", width, {{kBatch, kExperts}, {kBatch, h}, {kBatch, h}}, [](const std::vector<Tensor>& t) {
      return mix(t[0], {t[1], t[2]});
    });
    add_op(suite, "relu", width, {{kBatch, h}}, [](const std::vector<Tensor>& t) { return relu(t[0]); });
  }
}

void register_losses(Suite& suite) {
  for (const std::int64_t n : {kExperts, kClasses})
    add_op(suite, "softmax", "/" + std::to_string(n), {{kBatch, n}},
           [](const std::vector<Tensor>& t) { return softmax(t[0]); });
  add(suite, "ops/softmax_cross_entropy", [&suite]() -> Work {
    return [x = ones(suite, {kBatch, kClasses}), y = zero_indices(suite, kBatch)] { softmax_cross_entropy(x, y); };
  });
  add(suite, "ops/softmax_cross_entropy_train", [&suite]() -> Work {
    return [x = leaf(suite, {kBatch, kClasses}), y = zero_indices(suite, kBatch)] {
      softmax_cross_entropy(x, y).backward();
      x.clear_grad();
    };
  });
  add(suite, "ops/evaluate_cross_entropy", [&suite]() -> Work {
    return [x = ones(suite, {kBatch, kClasses}), y = zero_indices(suite, kBatch), loss = ones(suite, {}),
            hits = Tensor::zeros(suite.context, {}, DType::i32)] { evaluate_cross_entropy(x, y, loss, hits); };
  });
  add(suite, "ops/argmax", [&suite]() -> Work { return [x = ones(suite, {kBatch, kClasses})] { argmax(x); }; });
}

void register_elements(Suite& suite) {
  const std::vector<Shape> two = {{kBatch, kInputs}, {kBatch, kInputs}};
  using Inputs = std::vector<Tensor>;
  add_op(suite, "add", "", two, [](const Inputs& t) { return t[0] + t[1]; });
  add_op(suite, "subtract", "", two, [](const Inputs& t) { return t[0] - t[1]; });
  add_op(suite, "multiply", "", two, [](const Inputs& t) { return t[0] * t[1]; });
  add_op(suite, "divide", "", two, [](const Inputs& t) { return t[0] / t[1]; });
  add_op(suite, "add", "/row", {{kBatch, kInputs}, {kInputs}}, [](const Inputs& t) { return t[0] + t[1]; });
  add_op(suite, "affine", "", {two[0]}, [](const Inputs& t) { return affine(t[0], 2, 1); });
  add_op(suite, "exp", "", {two[0]}, [](const Inputs& t) { return exp(t[0]); });
  add_op(suite, "log", "", {two[0]}, [](const Inputs& t) { return log(t[0]); });
  add_op(suite, "sqrt", "", {two[0]}, [](const Inputs& t) { return sqrt(t[0]); });
  add_op(suite, "sum", "/all", {two[0]}, [](const Inputs& t) { return sum(t[0]); });
  add_op(suite, "sum", "/columns", {two[0]}, [](const Inputs& t) { return sum(t[0], {0}); });
  add_op(suite, "sum", "/rows", {two[0]}, [](const Inputs& t) { return sum(t[0], {1}); });
  add_op(suite, "concat", "", two, [](const Inputs& t) { return concat({t[0], t[1]}, 1); });
  add_op(suite, "slice", "", {two[0]}, [](const Inputs& t) { return slice(t[0], 1, 0, kInputs / 2); });
}

void register_gathers(Suite& suite) {
  for (const std::int64_t n : {std::int64_t{64}, kBatch, std::int64_t{512}})
    add(suite, "ops/gather_images/n" + std::to_string(n), [&suite, n]() -> Work {
      const DeviceImages images{Tensor::zeros(suite.context, {1000, 1, 28, 28}, DType::u8), zero_indices(suite, 1000), {}};
      return [images, indices = zero_indices(suite, n)] { gather_images(images, indices); };
    });
  add(suite, "ops/gather_rows", [&suite]() -> Work {
    return [table = ones(suite, {1000, 64}), indices = zero_indices(suite, 512)] { gather(table, indices); };
  });
  add(suite, "ops/gather_rows_train", [&suite]() -> Work {
    return [table = leaf(suite, {1000, 64}), indices = zero_indices(suite, 512), dy = ones(suite, {512, 64})] {
      gather(table, indices).backward(dy);
      table.clear_grad();
    };
  });
}

}  // namespace

void register_ops(Suite& suite) {
  register_layers(suite);
  register_losses(suite);
  register_elements(suite);
  register_gathers(suite);
}

}  // namespace alma::bench
