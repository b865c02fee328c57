#include "engine/ops_elementwise.h"

#include "engine/ops_broadcast.h"
#include "engine/ops_check.h"

namespace alma {

namespace {

void report(const Tensor& y, Count bytes) { y.context().add_cost({0, static_cast<Count>(y.count()), bytes}); }

// Without the tape.
Tensor compute(const char* name, BinaryOp op, const Tensor& a, const Tensor& b) {
  require_row_major(name, a);
  require_row_major(name, b);
  require_dtype(name, "b", b, a.dtype());
  Tensor y = Tensor::empty(a.context(), broadcast_shape(name, a.shape(), b.shape()), a.dtype());
  a.backend().binary(op, a, b, y.out());
  report(y, bytes_of(a, b, y));
  return y;
}

Tensor compute(const char* name, UnaryOp op, const Tensor& x) {
  require_row_major(name, x);
  Tensor y = Tensor::empty(x.context(), x.shape(), x.dtype());
  x.backend().unary(op, x, y.out());
  report(y, bytes_of(x, y));
  return y;
}

}  // namespace

Tensor operator+(const Tensor& a, const Tensor& b) {
  return record("add", {a, b}, compute("add", BinaryOp::add, a, b),
                [sa = a.shape(), sb = b.shape()](const Tensor& dy, Grads& grads) {
                  if (grads.wanted(0)) grads.add(0, sum_to(dy, sa));
                  if (grads.wanted(1)) grads.add(1, sum_to(dy, sb));
                });
}

Tensor operator-(const Tensor& a, const Tensor& b) {
  return record("subtract", {a, b}, compute("subtract", BinaryOp::subtract, a, b),
                [sa = a.shape(), sb = b.shape()](const Tensor& dy, Grads& grads) {
                  if (grads.wanted(0)) grads.add(0, sum_to(dy, sa));
                  if (grads.wanted(1)) grads.add(1, affine(sum_to(dy, sb), -1, 0));
                });
}

Tensor operator*(const Tensor& a, const Tensor& b) {
  return record("multiply", {a, b}, compute("multiply", BinaryOp::multiply, a, b),
                [a = a.detach(), b = b.detach()](const Tensor& dy, Grads& grads) {
                  if (grads.wanted(0)) grads.add(0, sum_to(dy * b, a.shape()));
                  if (grads.wanted(1)) grads.add(1, sum_to(dy * a, b.shape()));
                });
}

Tensor operator/(const Tensor& a, const Tensor& b) {
  const Tensor y = compute("divide", BinaryOp::divide, a, b);
  return record("divide", {a, b}, y, [sa = a.shape(), b = b.detach(), y = y.detach()](const Tensor& dy, Grads& grads) {
    const Tensor da = dy / b;
    if (grads.wanted(0)) grads.add(0, sum_to(da, sa));
    if (grads.wanted(1)) grads.add(1, affine(sum_to(da * y, b.shape()), -1, 0));
  });
}

Tensor affine(const Tensor& x, double scale, double shift) {
  require_row_major("affine", x);
  Tensor y = Tensor::empty(x.context(), x.shape(), x.dtype());
  x.backend().affine(x, scale, shift, y.out());
  report(y, bytes_of(x, y));
  return record("affine", {x}, y, [scale](const Tensor& dy, Grads& grads) { grads.add(0, affine(dy, scale, 0)); });
}

Tensor relu(const Tensor& x) {
  const Tensor y = compute("relu", UnaryOp::relu, x);
  return record("relu", {x}, y, [y = y.detach()](const Tensor& dy, Grads& grads) {
    grads.add(0, compute("relu", BinaryOp::relu_gradient, dy, y));
  });
}

Tensor gelu(const Tensor& x) {
  return record("gelu", {x}, compute("gelu", UnaryOp::gelu, x), [x = x.detach()](const Tensor& dy, Grads& grads) {
    grads.add(0, compute("gelu", BinaryOp::gelu_gradient, dy, x));
  });
}

Tensor exp(const Tensor& x) {
  const Tensor y = compute("exp", UnaryOp::exp, x);
  return record("exp", {x}, y, [y = y.detach()](const Tensor& dy, Grads& grads) { grads.add(0, dy * y); });
}

Tensor log(const Tensor& x) {
  return record("log", {x}, compute("log", UnaryOp::log, x),
                [x = x.detach()](const Tensor& dy, Grads& grads) { grads.add(0, dy / x); });
}

Tensor sqrt(const Tensor& x) {
  const Tensor y = compute("sqrt", UnaryOp::sqrt, x);
  return record("sqrt", {x}, y, [y = y.detach()](const Tensor& dy, Grads& grads) { grads.add(0, affine(dy / y, 0.5, 0)); });
}

}  // namespace alma
