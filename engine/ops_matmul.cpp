#include "engine/ops_matmul.h"

#include "engine/ops_check.h"
#include "engine/ops_images.h"

namespace alma {

namespace {

Count macs_of(std::int64_t m, std::int64_t n, std::int64_t k) {
  return static_cast<Count>(m) * static_cast<Count>(n) * static_cast<Count>(k);
}

// op(a) op(b) without the tape. Multiply-adds count as the paper's MACs in the forward pass only.
Tensor product(const Tensor& a, bool transpose_a, const Tensor& b, bool transpose_b, const Epilogue& epilogue,
               bool forward) {
  const std::int64_t m = a.dim(transpose_a ? 1 : 0), k = a.dim(transpose_a ? 0 : 1), n = b.dim(transpose_b ? 0 : 1);
  Tensor c = Tensor::empty(a.context(), {m, n}, a.dtype());
  a.backend().matmul(a, transpose_a, b, transpose_b, c.out(), epilogue);
  const Count macs = macs_of(m, n, k);
  a.context().add_cost({forward ? macs : 0, 2 * macs, bytes_of(a, b, c)});
  return c;
}

// x weight^T with the epilogue, without the tape; x may be image rows.
Tensor linear_forward(const Tensor& x, const Tensor& weight, const Epilogue& epilogue) {
  if (x.layout() != Layout::image_rows) return product(x, false, weight, true, epilogue, true);
  Tensor y = Tensor::empty(x.context(), {x.dim(0), weight.dim(0)}, weight.dtype());
  x.backend().matmul_images(x.image_rows(), weight, y.out(), epilogue);
  const Count macs = macs_of(x.dim(0), weight.dim(0), x.dim(1));
  x.context().add_cost({macs, 2 * macs, static_cast<Count>(x.count()) + bytes_of(weight, y)});
  return y;
}

// dz^T x.
Tensor linear_weight_gradient(const Tensor& dz, const Tensor& x) {
  if (x.layout() != Layout::image_rows) return product(dz, true, x, false, {}, false);
  Tensor dweight = Tensor::empty(x.context(), {dz.dim(1), x.dim(1)}, dz.dtype());
  x.backend().matmul_images_gradient(dz, x.image_rows(), dweight.out());
  x.context().add_cost(
      {0, 2 * macs_of(dz.dim(0), dz.dim(1), x.dim(1)), static_cast<Count>(x.count()) + bytes_of(dz, dweight)});
  return dweight;
}

}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b, bool transpose_a, bool transpose_b) {
  require_rank("matmul", "a", a, 2);
  require_rank("matmul", "b", b, 2);
  if (a.dim(transpose_a ? 0 : 1) != b.dim(transpose_b ? 1 : 0))
    fail("[matmul] inner sizes differ: ", a.shape(), transpose_a ? "^T" : "", " times ", b.shape(), transpose_b ? "^T" : "");
  return record("matmul", {a, b}, product(a, transpose_a, b, transpose_b, {}, true),
                [a = a.detach(), b = b.detach(), transpose_a, transpose_b](const Tensor& dc, Grads& grads) {
                  if (grads.wanted(0))
                    grads.add(0, transpose_a ? product(b, transpose_b, dc, true, {}, false)
                                             : product(dc, false, b, !transpose_b, {}, false));
                  if (grads.wanted(1))
                    grads.add(1, transpose_b ? product(dc, true, a, transpose_a, {}, false)
                                             : product(a, !transpose_a, dc, false, {}, false));
                });
}

Tensor linear(const Tensor& input, const Tensor& weight, const Tensor& bias, bool relu) {
  require_rank("linear", "x", input, 2);
  require_rank("linear", "weight", weight, 2);
  if (input.dim(1) != weight.dim(1))
    fail("[linear] x ", input.shape(), " does not fit weight ", weight.shape(), " (out, in)");
  // Images stay where they lie for few outputs only.
  const Tensor x = weight.dim(0) > input.backend().most_image_outputs() ? dense(input) : input;
  if (bias.defined()) require_shape("linear", "bias", bias, {weight.dim(0)});
  Epilogue epilogue;
  if (bias.defined()) epilogue.bias = bias;
  epilogue.relu = relu;
  const Tensor y = linear_forward(x, weight, epilogue);
  return record(
      "linear", {x, weight, bias}, y,
      [x = x.detach(), weight = weight.detach(), y = relu ? y.detach() : Tensor()](const Tensor& dy, Grads& grads) {
        Tensor dz = dy;  // the cotangent before the ReLU
        if (y.defined() || grads.wanted(2)) {
          Tensor dbias = grads.wanted(2) ? Tensor::empty(dy.context(), {weight.dim(0)}, dy.dtype()) : Tensor();
          if (y.defined()) dz = Tensor::empty(dy.context(), dy.shape(), dy.dtype());
          dy.backend().bias_relu_backward(dy, y.defined() ? y.in() : In{}, y.defined() ? dz.out() : Out{},
                                          dbias.defined() ? dbias.out() : Out{});
          const Count n = static_cast<Count>(dy.count());
          dy.context().add_cost({0, n * ((y.defined() ? 1 : 0) + (dbias.defined() ? 1 : 0)),
                                 static_cast<Count>(dy.bytes()) * (y.defined() ? 3 : 1)});
          if (dbias.defined()) grads.add(2, std::move(dbias));
        }
        if (grads.wanted(1)) grads.add(1, linear_weight_gradient(dz, x));
        if (grads.wanted(0)) grads.add(0, product(dz, false, weight, false, {}, false));
      });
}

}  // namespace alma
