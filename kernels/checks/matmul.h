#pragma once
#include "kernels/checks/arrays.h"

namespace alma::check {

struct MatmulSizes {
  std::int64_t batch, m, n, k;
};

/// Sizes of op(A) op(B), where A and B fit.
inline MatmulSizes factors(const In& a, bool transpose_a, const In& b, bool transpose_b) {
  for (const In* x : {&a, &b})
    if (x->shape.rank() != 2) rank("matmul", x == &a ? "a" : "b", *x, 3);
  const int da = a.shape.rank() - 2, db = b.shape.rank() - 2;
  const In& batched = da == 1 ? a : b;
  const MatmulSizes s{batched.shape.rank() == 3 ? batched.shape[0] : 1, a.shape[da + (transpose_a ? 1 : 0)],
                      b.shape[db + (transpose_b ? 0 : 1)], a.shape[da + (transpose_a ? 0 : 1)]};
  array("matmul", "a", a, a.dtype, a.shape);
  const std::int64_t rows = transpose_b ? s.n : s.k, columns = transpose_b ? s.k : s.n;
  array("matmul", "b", b, a.dtype, db == 1 ? Shape{s.batch, rows, columns} : Shape{rows, columns});
  return s;
}

inline void matmul_epilogue(const MatmulSizes& s, const Out& c, DType operands, bool transpose_a, const Epilogue& e) {
  const char* op = "matmul";
  const bool in_batch = c.shape.rank() == 3, gradient = e.masked_by || e.mask || e.column_sums || e.sums_of_a;
  if (e.bias) array(op, "bias", e.bias, c.dtype, in_batch && e.bias.shape.rank() == 2 ? Shape{s.batch, s.n} : Shape{s.n});
  if (e.accumulate && (e.bias || e.relu)) fail("[matmul] accumulate goes without bias and relu");
  if (e.relu_mask && (!e.relu || in_batch)) fail("[matmul] relu_mask goes with relu, and not in a batch");
  if ((gradient || e.relu_mask) && operands == DType::bf16)
    fail("[matmul] relu_mask and what is for gradients go with f32 or f64, got bf16");
  if (!gradient) return;
  if (in_batch || e.bias || e.relu || e.accumulate)
    fail("[matmul] masked_by, column_sums and sums_of_a go without bias, relu, accumulate and batch");
  if ((e.mask || e.column_sums) && !e.masked_by && s.m * s.n > 0)  // of nothing there is no memory
    fail("[matmul] mask and column_sums go with masked_by");
  if (e.sums_of_a && (e.masked_by || !transpose_a)) fail("[matmul] sums_of_a goes with transpose_a, without masked_by");
  if (e.masked_by) array(op, "masked_by", e.masked_by, c.dtype, {s.m, s.n});
  if (e.column_sums) array(op, "column_sums", e.column_sums, c.dtype, {s.n});
  if (e.sums_of_a) array(op, "sums_of_a", e.sums_of_a, c.dtype, {s.m});
}

inline Checked<MatmulSizes> matmul(Backend& backend, const In& a, bool transpose_a, const In& b, bool transpose_b,
                                   const Out& c, const Epilogue& epilogue, Math math) {
  const MatmulSizes s = factors(a, transpose_a, b, transpose_b);
  const bool in_batch = a.shape.rank() == 3 || b.shape.rank() == 3;
  const DType dtype = a.dtype == DType::bf16 && c.dtype == DType::f32 ? DType::f32 : a.dtype;
  array("matmul", "c", c, dtype, in_batch ? Shape{s.batch, s.m, s.n} : Shape{s.m, s.n});
  if ((a.dtype == DType::bf16) != (math == Math::bf16) || (math == Math::tf32 && a.dtype != DType::f32))
    fail("[matmul] math ", name_of(math), " does not go with operands in ", a.dtype);
  matmul_epilogue(s, c, a.dtype, transpose_a, epilogue);
  const char* detail = transpose_a ? (transpose_b ? "a^T b^T" : "a^T b") : transpose_b ? "a b^T" : "a b";
  return {s, {backend, {"matmul", detail}, a, b, epilogue.bias, c}};
}

}  // namespace alma::check
