#pragma once
#include <vector>

#include "engine/tensor.h"

namespace alma {

/// The same elements under another shape; one size may be -1 and is then inferred.
Tensor reshape(const Tensor& x, std::initializer_list<std::int64_t> sizes);
/// Concatenation along `axis` (negative: from the end); all other sizes and the dtype must be equal. At least one part.
Tensor concat(const std::vector<Tensor>& parts, int axis);
/// Indices [first, last) of `axis`.
Tensor slice(const Tensor& x, int axis, std::int64_t first, std::int64_t last);
/// Consecutive parts of the given sizes, which must add up to x's size along `axis`.
std::vector<Tensor> split(const Tensor& x, int axis, const std::vector<std::int64_t>& sizes);
/// x [a, b, ...] as [b, a, ...], row-major.
Tensor swap_first_two(const Tensor& x);
/// table[indices]: table [r, n], indices [m] i32 in [0, r). Returns [m, n]; gradients of equal indices add up, in order.
Tensor gather(const Tensor& table, const Tensor& indices);

}  // namespace alma
