#pragma once
#include "engine/mean_over.h"
#include "engine/tensor.h"

namespace alma {

/// The source of logits = x weight^T that nobody has needed as numbers yet: a cross-entropy takes them apart again, and so
/// never has all of them in memory.
class DeferredProduct final : public Deferred {
 public:
  DeferredProduct(Tensor rows, Tensor matrix) : Deferred(rows.context()), x(std::move(rows)), weight(std::move(matrix)) {}
  /// linear(x, weight, {}), on the tape if that records by then.
  const Tensor& dense() override;

  const Tensor x, weight;  // [rows, d], [classes, d]; on the tape

 private:
  Tensor dense_;  // undefined until first requested
};

/// The deferred product behind x; null if x is not of that kind.
inline DeferredProduct* deferred_product(const Tensor& x) { return dynamic_cast<DeferredProduct*>(x.source()); }

/// linear_cross_entropy() of a deferred product; `losses` is the shape of the result, [] or that of a stack of one, [1].
Tensor cross_entropy_of(const DeferredProduct& logits, const Tensor& labels, const Shape& losses, MeanOver over);
/// evaluate_cross_entropy() of it, as many rows at a time; waits for the device.
void evaluate_cross_entropy_of(const DeferredProduct& logits, const Tensor& labels, const Tensor& loss_sum,
                               const Tensor& hits);

}  // namespace alma
