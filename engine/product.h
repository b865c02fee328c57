#pragma once
#include "engine/tensor.h"

namespace alma {

/// Multiply-adds of an [m, k] by a [k, n] matrix.
constexpr Count macs_of(std::int64_t m, std::int64_t n, std::int64_t k) {
  return static_cast<Count>(m) * static_cast<Count>(n) * static_cast<Count>(k);
}

/// op(a) op(b) with its cost, without the tape: what the ops of products are made of; a and b both matrices, or both
/// [batch, ., .]. The paper's MACs count in the forward pass only.
Tensor product(const Tensor& a, bool transpose_a, const Tensor& b, bool transpose_b, const Epilogue& epilogue, bool forward);

}  // namespace alma
