#pragma once
#include "kernels/checks/arrays.h"

namespace alma::check {

constexpr const char* name_of(UnaryOp op) {
  switch (op) {
    case UnaryOp::relu: return "relu";
    case UnaryOp::gelu: return "gelu";
    case UnaryOp::exp: return "exp";
    case UnaryOp::log: return "log";
    case UnaryOp::sqrt: return "sqrt";
  }
  return "unary";
}

constexpr const char* name_of(BinaryOp op) {
  switch (op) {
    case BinaryOp::add: return "add";
    case BinaryOp::subtract: return "subtract";
    case BinaryOp::multiply: return "multiply";
    case BinaryOp::divide: return "divide";
    case BinaryOp::relu_gradient: return "relu_gradient";
    case BinaryOp::gelu_gradient: return "gelu_gradient";
  }
  return "binary";
}

inline Observed unary(Backend& backend, UnaryOp op, const In& x, const Out& y) {
  like("unary", x, y);
  return {backend, name_of(op), x, y};
}

inline Observed binary(Backend& backend, BinaryOp op, const In& a, const In& b, const Out& y) {
  array("binary", "y", y, a.dtype, y.shape);
  for (const In* x : {&a, &b}) {
    array("binary", x == &a ? "a" : "b", *x, a.dtype, x->shape);
    bool fits = x->shape.rank() <= y.shape.rank();
    for (int i = 0; fits && i < x->shape.rank(); ++i) {
      const std::int64_t size = x->shape[x->shape.rank() - 1 - i];
      fits = size == 1 || size == y.shape[y.shape.rank() - 1 - i];
    }
    if (!fits) fail("[binary] ", x == &a ? "a " : "b ", x->shape, " does not broadcast to y ", y.shape);
  }
  return {backend, name_of(op), a, b, y};
}

inline Observed affine(Backend& backend, const In& x, const Out& y) {
  like("affine", x, y);
  return {backend, "affine", x, y};
}

}  // namespace alma::check
