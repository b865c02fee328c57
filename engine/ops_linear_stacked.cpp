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

}  // namespace

Tensor stacked_linear(const Tensor& input, const Tensor& weight, const Tensor& bias, bool relu) {
  require_rank("stacked_linear", "x", input, 2);
  require_rank("stacked_linear", "weight", weight, 3);
  const std::int64_t k = weight.dim(0), out = weight.dim(1), in = weight.dim(2);
  if (k == 0 || input.dim(1) != in || input.dim(0) % k != 0)
    fail("[stacked_linear] x ", input.shape(), " does not fit weight ", weight.shape(), " (members, out, in)");
  if (bias.defined()) require_shape("stacked_linear", "bias", bias, {k, out});
  const Tensor x = dense(input);
  const Tensor members = x.view({k, x.dim(0) / k, in});
  Epilogue epilogue;
  if (bias.defined()) epilogue.bias = bias;
  epilogue.relu = relu;
  const Tensor y = product(members, false, weight, true, epilogue, true);
  return record("stacked_linear", {x, weight, bias}, y.view({x.dim(0), out}),
                [members, weight = weight.detach(), y, relu](const Tensor& cotangent, Grads& grads) {
                  const Tensor dy = cotangent.view(y.shape());
                  Tensor dz = dy;  // before the ReLU
                  if (relu) {
                    dz = Tensor::empty(dy.context(), dy.shape(), dy.dtype());
                    dy.backend().binary(BinaryOp::relu_gradient, dy, y, dz.out());
                    dy.context().add_cost({0, static_cast<Count>(dz.count()), bytes_of(dy, y, dz)});
                  }
                  if (grads.wanted(1)) grads.add(1, product(dz, true, members, false, {}, false));
                  if (grads.wanted(2)) {
                    grads.add(2, sums_of_rows(dz));
                    // The bytes of linear(), whose mask adds up its bias's gradient in passing.
                    dz.context().add_cost({0, static_cast<Count>(dz.count()), relu ? 0 : bytes_of(dz)});
                  }
                  if (grads.wanted(0))
                    grads.add(0, product(dz, false, weight, false, {}, false).view({cotangent.dim(0), weight.dim(2)}));
                });
}

}  // namespace alma
