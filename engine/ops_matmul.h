#pragma once
#include "engine/tensor.h"

namespace alma {

/// op(a) op(b), where op transposes if the flag is set. a [m, k] (or [k, m]), b [k, n] (or [n, k]), f32 or f64.
/// Returns [m, n].
Tensor matmul(const Tensor& a, const Tensor& b, bool transpose_a = false, bool transpose_b = false);

/// x weight^T + bias, optionally followed by ReLU, in one pass. x [rows, in] row-major or deferred, weight [out, in], bias
/// [out] or undefined.
/// Returns [rows, out]. Costs rows * in * out MACs (the paper counts no bias).
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias, bool relu = false);

/// linear() for k members in one call, each with its own rows and weights. x [k rows, in], the rows of one member after
/// those of another; weight [k, out, in], bias [k, out] or undefined. Returns [k rows, out]. Costs as much as k linear(), or
/// as `counted_rows` rows if not all of them are used.
Tensor stacked_linear(const Tensor& x, const Tensor& weight, const Tensor& bias, bool relu = false,
                      std::int64_t counted_rows = -1);

/// linear() without bias for a last layer with many outputs: the elements are computed when an op needs them (dense()),
/// which a cross-entropy does not.
Tensor deferred_linear(const Tensor& x, const Tensor& weight);

}  // namespace alma
