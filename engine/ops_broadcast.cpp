#include "engine/ops_broadcast.h"

#include <algorithm>

#include "engine/ops_check.h"

namespace alma {

Shape broadcast_shape(const char* op, const Shape& a, const Shape& b) {
  const int rank = std::max(a.rank(), b.rank());
  Shape shape;
  for (int i = 0; i < rank; ++i) {
    const std::int64_t sa = i < rank - a.rank() ? 1 : a[i - (rank - a.rank())];
    const std::int64_t sb = i < rank - b.rank() ? 1 : b[i - (rank - b.rank())];
    if (sa != sb && sa != 1 && sb != 1) fail("[", op, "] shapes ", a, " and ", b, " do not broadcast");
    shape.push_back(sa == 1 ? sb : sa);
  }
  return shape;
}

namespace {

// `shape` with ones in front, up to x's rank: what it looks like when broadcast to x.
Shape aligned(const Shape& shape, int rank) {
  Shape result;
  for (int i = shape.rank(); i < rank; ++i) result.push_back(1);
  for (int i = 0; i < shape.rank(); ++i) result.push_back(shape[i]);
  return result;
}

// x repeated over the dimensions that `shape` adds or expands; without the tape.
Tensor broadcast_to(const Tensor& x, const Shape& shape) {
  const Tensor zeros = Tensor::zeros(x.context(), shape, x.dtype()), y = Tensor::empty(x.context(), shape, x.dtype());
  x.backend().binary(BinaryOp::add, zeros, x.view(aligned(x.shape(), shape.rank())), y.out());
  x.context().add_cost({0, static_cast<Count>(y.count()), bytes_of(zeros, x, y)});
  return y;
}

}  // namespace

Tensor sum_to(const Tensor& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  require_row_major("sum", x);
  if (x.shape().rank() < shape.rank() || !(broadcast_shape("sum", x.shape(), shape) == x.shape()))
    fail("[sum] ", shape, " does not broadcast to ", x.shape());
  const Tensor y = Tensor::empty(x.context(), shape, x.dtype());
  x.backend().reduce_sum(x, {y.out().data, y.dtype(), aligned(shape, x.shape().rank())});
  x.context().add_cost({0, static_cast<Count>(x.count()), bytes_of(x, y)});
  return record("sum", {x}, y, [from = x.shape()](const Tensor& dy, Grads& grads) { grads.add(0, broadcast_to(dy, from)); });
}

}  // namespace alma
