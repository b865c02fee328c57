#include "engine/ops_matmul.h"

#include "engine/ops_check.h"
#include "engine/product.h"

namespace alma {

Tensor product(const Tensor& a, bool transpose_a, const Tensor& b, bool transpose_b, const Epilogue& epilogue,
               bool forward) {
  const bool batch = a.shape().rank() == 3;
  const std::int64_t m = a.dim(batch + (transpose_a ? 1 : 0)), k = a.dim(batch + (transpose_a ? 0 : 1)),
                     n = b.dim(batch + (transpose_b ? 0 : 1));
  Tensor c = Tensor::empty(a.context(), batch ? Shape{a.dim(0), m, n} : Shape{m, n}, a.dtype());
  a.backend().matmul(a, transpose_a, b, transpose_b, c.out(), epilogue, Math::f32);
  const Count macs = macs_of(batch ? a.dim(0) * m : m, n, k);
  a.context().add_cost({forward ? macs : 0, 2 * macs, bytes_of(a, b, c)});
  return c;
}

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

}  // namespace alma
