#pragma once
#include "engine/tensor.h"

namespace alma {

// Broadcasting by numpy's rules, and the way back, which is the gradient of the way there.

/// The shape that a and b broadcast to. Throws Error naming `op` if they do not.
Shape broadcast_shape(const char* op, const Shape& a, const Shape& b);
/// Sums x over the dimensions that broadcasting `shape` to x's shape has added or widened. Its gradient broadcasts back.
Tensor sum_to(const Tensor& x, const Shape& shape);

}  // namespace alma
