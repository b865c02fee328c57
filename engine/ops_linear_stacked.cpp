#include "engine/ops_check.h"
#include "engine/ops_images.h"
#include "engine/ops_matmul.h"
#include "engine/product.h"

namespace alma {

namespace {

// [k, out]: sums over each member's rows of dz [k, rows, out].
Tensor sums_of_rows(const Tensor& dz) {
  const Tensor sums = Tensor::empty(dz.context(), {dz.dim(0), 1, dz.dim(2)}, dz.dtype());
  dz.backend().reduce_sum(dz, sums.out());
  return sums.view({dz.dim(0), dz.dim(2)});
}

// op(a) b^T or op(a) b of each entry, without its cost.
Tensor batch_product(const Tensor& a, bool transpose_a, const Tensor& b, bool transpose_b, const Epilogue& epilogue) {
  Tensor c = Tensor::empty(a.context(), {a.dim(0), a.dim(transpose_a ? 2 : 1), b.dim(transpose_b ? 1 : 2)}, a.dtype());
  a.backend().matmul(a, transpose_a, b, transpose_b, c.out(), epilogue, Math::f32);
  return c;
}

}  // namespace

Tensor stacked_linear(const Tensor& rows, const Tensor& weight, const Tensor& bias, bool relu, std::int64_t counted_rows) {
  require_rank("stacked_linear", "x", rows, 2);
  require_rank("stacked_linear", "weight", weight, 3);
  const std::int64_t k = weight.dim(0), out = weight.dim(1), in = weight.dim(2);
  if (k == 0 || rows.dim(1) != in || rows.dim(0) % k != 0)
    fail("[stacked_linear] x ", rows.shape(), " does not fit weight ", weight.shape(), " (members, out, in)");
  if (bias.defined()) require_shape("stacked_linear", "bias", bias, {k, out});
  const Tensor x = dense(rows);
  const Tensor members = x.view({k, x.dim(0) / k, in});
  Epilogue epilogue;
  if (bias.defined()) epilogue.bias = bias;
  epilogue.relu = relu;
  const Count macs = macs_of(counted_rows < 0 ? x.dim(0) : counted_rows, out, in);
  const Tensor y = batch_product(members, false, weight, true, epilogue);
  x.context().add_cost({macs, 2 * macs, bytes_of(members, weight, y)});
  return record("stacked_linear", {x, weight, bias}, y.view({x.dim(0), out}),
                [members, weight = weight.detach(), y, relu, macs](const Tensor& cotangent, Grads& grads) {
                  const Tensor dy = cotangent.view(y.shape());
                  Tensor dz = dy;  // before the ReLU
                  if (relu) {
                    dz = Tensor::empty(dy.context(), dy.shape(), dy.dtype());
                    dy.backend().binary(BinaryOp::relu_gradient, dy, y, dz.out());
                    dy.context().add_cost({0, static_cast<Count>(dz.count()), bytes_of(dy, y, dz)});
                  }
                  const auto add_product = [&](std::size_t input, const Tensor& a, bool transpose_a, const Tensor& b) {
                    const Tensor gradient = batch_product(a, transpose_a, b, false, {});
                    a.context().add_cost({0, 2 * macs, bytes_of(a, b, gradient)});
                    grads.add(input, input == 0 ? gradient.view({cotangent.dim(0), weight.dim(2)}) : gradient);
                  };
                  if (grads.wanted(1)) add_product(1, dz, true, members);
                  if (grads.wanted(2)) {
                    grads.add(2, sums_of_rows(dz));
                    // The bytes of linear(), whose mask adds up its bias's gradient in passing.
                    dz.context().add_cost({0, static_cast<Count>(dz.count()), relu ? 0 : bytes_of(dz)});
                  }
                  if (grads.wanted(0)) add_product(0, dz, false, weight);
                });
}

}  // namespace alma
