#pragma once
#include "engine/tensor.h"

namespace alma {

/// The multiply-adds of a product of an [m, k] and a [k, n] matrix.
constexpr Count macs_of(std::int64_t m, std::int64_t n, std::int64_t k) {
  return static_cast<Count>(m) * static_cast<Count>(n) * static_cast<Count>(k);
}

/// op(a) op(b) with its cost, without the tape, for the ops that are products; a and b are both matrices, or both [batch, .,
/// .]. The paper's MACs count in the forward pass only.
Tensor product(const Tensor& a, bool transpose_a, const Tensor& b, bool transpose_b, const Epilogue& epilogue, bool forward);

}  // namespace alma
