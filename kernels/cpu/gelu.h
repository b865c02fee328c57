#pragma once
#include "kernels/cpu/exp.h"

namespace alma {

inline constexpr double kGeluSlope = 0.79788456080286536, kGeluCube = 0.044715;  // sqrt(2 / pi)

/// 1 / (1 + e^(-2 u)) of UnaryOp::gelu.
template <class T>
T gelu_share(T x) {
  return T(1) / (T(1) + exponential(T(-2 * kGeluSlope) * (x + T(kGeluCube) * x * x * x)));
}

template <class T>
T gelu(T x) {
  return x * gelu_share(x);
}

/// The derivative: s + x s (1 - s) 2 u'. From |x| = 16 on s (1 - s) is 0, and x^2 could overflow.
template <class T>
T gelu_slope(T x) {
  const T s = gelu_share(x);
  T inner = x < T(-16) ? T(-16) : x;  // in this order NaN passes
  inner = inner > T(16) ? T(16) : inner;
  return s + inner * s * (T(1) - s) * T(2 * kGeluSlope) * (T(1) + T(3 * kGeluCube) * inner * inner);
}

}  // namespace alma
