#pragma once
#include "engine/tensor.h"

namespace alma {

// Element-wise ops on f32 or f64; shapes broadcast by numpy's rules.
Tensor operator+(const Tensor& a, const Tensor& b);
Tensor operator-(const Tensor& a, const Tensor& b);
Tensor operator*(const Tensor& a, const Tensor& b);
Tensor operator/(const Tensor& a, const Tensor& b);

/// scale * x + shift.
Tensor affine(const Tensor& x, double scale, double shift);
inline Tensor operator*(double scale, const Tensor& x) { return affine(x, scale, 0); }
inline Tensor operator-(const Tensor& x) { return affine(x, -1, 0); }

/// max(0, x); the gradient at 0 is 0.
Tensor relu(const Tensor& x);
/// x Phi(x) by its tanh form (kernels/backend.h, UnaryOp::gelu).
Tensor gelu(const Tensor& x);
Tensor exp(const Tensor& x);
Tensor log(const Tensor& x);
Tensor sqrt(const Tensor& x);

}  // namespace alma
