#pragma once
#include "kernels/checks/arrays.h"

namespace alma::check {

inline Observed softmax(Backend& backend, const In& x, const Out& y) {
  like("softmax", x, y);
  filled_rows("softmax", x);
  return {backend, "softmax", x, y};
}

/// y, dy and dx are of one type and shape.
inline void softmax_gradient(const char* op, const In& y, const In& dy, const Out& dx) {
  array(op, "y", y, y.dtype, y.shape);
  array(op, "dy", dy, y.dtype, y.shape);
  array(op, "dx", dx, y.dtype, y.shape);
}

inline Observed softmax_backward(Backend& backend, const In& y, const In& dy, const Out& dx) {
  softmax_gradient("softmax_backward", y, dy, dx);
  filled_rows("softmax_backward", y);
  return {backend, "softmax_backward", y, dy, dx};
}

inline Observed softmax_cross_entropy(Backend& backend, const In& logits, const In& labels, const Out& grad, const Out& loss,
                                      const Out& hits) {
  const char* op = "softmax_cross_entropy";
  rank(op, "logits", logits, 2);
  filled_rows(op, logits);
  array(op, "labels", labels, DType::i32, {logits.shape[0]});
  if (grad) array(op, "grad", grad, logits.dtype, logits.shape);
  array(op, "loss", loss, logits.dtype, {});
  if (hits) array(op, "hits", hits, DType::i32, {});
  return {backend, op, logits, labels, grad, loss, hits};
}

inline void square(const char* op, const char* name, const In& x) {
  const int rank = x.shape.rank();
  if (rank < 2 || x.shape[rank - 1] != x.shape[rank - 2]) fail("[", op, "] ", name, " must be [.., t, t], got ", x.shape);
}

inline Observed causal_softmax(Backend& backend, const In& x, const Out& y) {
  like("causal_softmax", x, y);
  square("causal_softmax", "x", x);
  return {backend, "causal_softmax", x, y};
}

inline Observed causal_softmax_backward(Backend& backend, const In& y, const In& dy, const Out& dx) {
  softmax_gradient("causal_softmax_backward", y, dy, dx);
  square("causal_softmax_backward", "y", y);
  return {backend, "causal_softmax_backward", y, dy, dx};
}

}  // namespace alma::check
