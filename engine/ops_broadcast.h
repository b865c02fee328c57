#pragma once
#include "engine/tensor.h"

namespace alma {

// Broadcasting by numpy's rules, and the reverse, which is its gradient.

/// The shape that a and b broadcast to. Throws Error naming `op` if they do not.
Shape broadcast_shape(const char* op, const Shape& a, const Shape& b);
/// Sums x over the dimensions that broadcasting from `shape` to x's shape adds or expands. Its gradient is a broadcast.
Tensor sum_to(const Tensor& x, const Shape& shape);

}  // namespace alma
