#include "engine/ops_dropout.h"

#include "engine/ops_check.h"

namespace alma {

namespace {

Tensor applied(const Tensor& x, double probability, const RandomPlace& place) {
  const Tensor y = Tensor::empty(x.context(), x.shape(), x.dtype());
  x.backend().dropout(x, probability, place, y.out());
  x.context().add_cost({0, static_cast<Count>(x.count()), bytes_of(x, y)});
  return y;
}

}  // namespace

Tensor dropout(const Tensor& x, double probability, const RandomPlace& place) {
  require_row_major("dropout", x);
  if (probability == 0) return x;
  return record("dropout", {x}, applied(x, probability, place),
                [probability, place](const Tensor& dy, Grads& grads) { grads.add(0, applied(dy, probability, place)); });
}

}  // namespace alma
