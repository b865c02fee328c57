#pragma once
#include "kernels/checks/arrays.h"

namespace alma::check {

inline Observed convert_layout(Backend& backend, const In& x, const Out& y) {
  const char* op = "convert_layout";
  rank(op, "x", x, 4, x.layout);
  array(op, "x", x, DType::f32, x.shape, images(op, "x", x));
  array(op, "y", y, DType::f32, x.shape, x.layout == Layout::lanes16 ? Layout::row_major : Layout::lanes16);
  return {backend, op, x, y};
}

inline Observed cast(Backend& backend, const In& x, const Out& y) {
  array("cast", "x", x, x.dtype, x.shape);
  array("cast", "y", y, y.dtype, x.shape);
  return {backend, "cast", x, y};
}

}  // namespace alma::check
