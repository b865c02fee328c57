#pragma once
#include "kernels/checks/arrays.h"

namespace alma::check {

inline Observed reduce_sum(Backend& backend, const In& x, const Out& y) {
  array("reduce_sum", "x", x, x.dtype, x.shape);
  bool fits = x.shape.rank() == y.shape.rank();
  for (int i = 0; fits && i < x.shape.rank(); ++i) fits = y.shape[i] == x.shape[i] || y.shape[i] == 1;
  if (!fits) fail("[reduce_sum] every size of y must be 1 or that of x ", x.shape, ", got ", y.shape);
  array("reduce_sum", "y", y, x.dtype, y.shape);
  return {backend, "reduce_sum", x, y};
}

inline Observed argmax(Backend& backend, const In& x, const Out& y) {
  rank("argmax", "x", x, 2);
  if (x.shape[1] < 1) fail("[argmax] rows of x must have elements, got ", x.shape);
  array("argmax", "y", y, DType::i32, {x.shape[0]});
  return {backend, "argmax", x, y};
}

inline Observed bias_relu_backward(Backend& backend, const In& dy, const In& y, const Out& dz, const Out& dbias) {
  const char* op = "bias_relu_backward";
  rank(op, "dy", dy, 2);
  if (static_cast<bool>(y) != static_cast<bool>(dz) && dy.shape.count() > 0)
    fail("[", op, "] y and dz go together, got one");
  if (y) array(op, "y", y, dy.dtype, dy.shape);
  if (dz) array(op, "dz", dz, dy.dtype, dy.shape);
  if (dbias) array(op, "dbias", dbias, dy.dtype, {dy.shape[1]});
  return {backend, op, dy, y, dz, dbias};
}

}  // namespace alma::check
