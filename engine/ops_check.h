#pragma once
#include <string_view>

#include "engine/autograd.h"

namespace alma {

// Checks of the arguments of ops. The errors read "[op] what was expected, what was given".

inline void require_rank(const char* op, const char* what, const Tensor& x, int rank) {
  if (x.shape().rank() != rank) fail("[", op, "] ", what, " must have rank ", rank, ", got ", x.dtype(), ' ', x.shape());
}
inline void require_shape(const char* op, const char* what, const Tensor& x, const Shape& shape) {
  if (!(x.shape() == shape)) fail("[", op, "] ", what, " must be ", shape, ", got ", x.dtype(), ' ', x.shape());
}
inline void require_dtype(const char* op, const char* what, const Tensor& x, DType dtype) {
  if (x.dtype() != dtype) fail("[", op, "] ", what, " must be ", dtype, ", got ", x.dtype(), ' ', x.shape());
}
inline void require_row_major(const char* op, const Tensor& x) {
  if (x.layout() != Layout::row_major) fail("[", op, "] takes row-major tensors, got images in another layout ", x.shape());
}

/// The total number of bytes of some tensors.
template <class... Tensors>
Count bytes_of(const Tensors&... tensors) {
  return (Count{0} + ... + static_cast<Count>(tensors.bytes()));
}

}  // namespace alma
