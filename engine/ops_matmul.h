#pragma once
#include "engine/tensor.h"

namespace alma {

/// op(a) op(b), op = transpose where asked. a [m, k] (or [k, m]), b [k, n] (or [n, k]), f32 or f64. Returns [m, n].
Tensor matmul(const Tensor& a, const Tensor& b, bool transpose_a = false, bool transpose_b = false);

/// x weight^T + bias, then ReLU if asked, in one pass. x [rows, in] row-major or deferred, weight [out, in], bias [out] or
/// undefined.
/// Returns [rows, out]. Costs rows * in * out MACs (the paper counts no bias).
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias, bool relu = false);

/// linear() of k members at once, each with its own rows and weights. x [k rows, in], the rows of one member after those of
/// another; weight [k, out, in], bias [k, out] or undefined. Returns [k rows, out]. Costs what k linear() do.
Tensor stacked_linear(const Tensor& x, const Tensor& weight, const Tensor& bias, bool relu = false);

}  // namespace alma
