#include "engine/ops_loss.h"

#include "engine/deferred_product.h"
#include "engine/ops_check.h"
#include "engine/ops_elementwise.h"

namespace alma {

Tensor softmax(const Tensor& x) {
  require_row_major("softmax", x);
  if (x.shape().last() == 0) fail("[softmax] no elements in the rows of ", x.shape());
  const Tensor y = Tensor::empty(x.context(), x.shape(), x.dtype());
  x.backend().softmax(x, y.out());
  x.context().add_cost({0, 4 * static_cast<Count>(x.count()), bytes_of(x, y)});
  return record("softmax", {x}, y, [y = y.detach()](const Tensor& dy, Grads& grads) {
    Tensor dx = Tensor::empty(dy.context(), dy.shape(), dy.dtype());
    dy.backend().softmax_backward(y, dy, dx.out());
    dy.context().add_cost({0, 4 * static_cast<Count>(dy.count()), bytes_of(y, dy, dx)});
    grads.add(0, std::move(dx));
  });
}

namespace {

void check(const Tensor& logits, const Tensor& labels) {
  require_rank("softmax_cross_entropy", "logits", logits, 2);
  require_shape("softmax_cross_entropy", "labels", labels, {logits.dim(0)});
  require_dtype("softmax_cross_entropy", "labels", labels, DType::i32);
  if (logits.dim(1) == 0) fail("[softmax_cross_entropy] no classes in logits ", logits.shape());
}

void report(const Tensor& logits, const Tensor& labels, bool with_gradient) {
  logits.context().add_cost({0, (with_gradient ? 6 : 4) * static_cast<Count>(logits.count()),
                             bytes_of(logits, labels) + (with_gradient ? bytes_of(logits) : 0)});
}

// losses: [], or [members]: each of its part of the rows.
Tensor cross_entropies(const Tensor& logits, const Tensor& labels, const Shape& losses, MeanOver over) {
  check(logits, labels);
  const std::int64_t members = losses.count(), rows = members == 0 ? 0 : logits.dim(0) / members;
  if (over.rows == 0) over.rows = rows;
  if (over.rows == 0) fail("[softmax_cross_entropy] the mean over no rows, logits are ", logits.shape());
  if (rows * members != logits.dim(0))
    fail("[softmax_cross_entropy] logits ", logits.shape(), " for a stack of ", members, " members");
  if (over.rows < rows) fail("[softmax_cross_entropy] the mean over ", over.rows, " rows, of which ", rows, " are here");
  const bool wanted = Tape::enabled() && logits.requires_grad();
  const Tensor grad = wanted ? Tensor::empty(logits.context(), logits.shape(), logits.dtype()) : Tensor();
  const Tensor loss = Tensor::empty(logits.context(), losses, logits.dtype());
  const Shape part{rows, logits.dim(1)};
  for (std::int64_t m = 0, first = 0; m < members; ++m, first += part.count())
    logits.backend().softmax_cross_entropy(logits.part(first, part), labels.part(m * rows, {rows}),
                                           1.0 / static_cast<double>(over.rows),
                                           wanted ? grad.part(first, part).out() : Out{}, loss.part(m, {}).out(), {});
  report(logits, labels, wanted);
  return record("softmax_cross_entropy", {logits}, loss, [grad, members, part](const Tensor& cotangent, Grads& grads) {
    if (cotangent.is_one()) {  // the usual loss: no extra pass
      grads.add(0, grad);
    } else {
      grads.add(0, (grad.view({members, part[0], part[1]}) * cotangent.view({members, 1, 1})).view(grad.shape()));
    }
  });
}

}  // namespace

Tensor softmax_cross_entropy(const Tensor& logits, const Tensor& labels, MeanOver over) {
  if (const DeferredProduct* product = deferred_product(logits)) return cross_entropy_of(*product, labels, {}, over);
  return cross_entropies(logits, labels, {}, over);
}

Tensor softmax_cross_entropies(const Tensor& logits, const Tensor& labels, std::int64_t members, MeanOver over) {
  const DeferredProduct* product = deferred_product(logits);
  if (product != nullptr && members == 1) return cross_entropy_of(*product, labels, {1}, over);
  return cross_entropies(dense(logits), labels, {members}, over);
}

void evaluate_cross_entropy(const Tensor& logits, const Tensor& labels, const Tensor& loss_sum, const Tensor& hits) {
  if (const DeferredProduct* product = deferred_product(logits))
    return evaluate_cross_entropy_of(*product, labels, loss_sum, hits);
  check(logits, labels);
  require_shape("evaluate_cross_entropy", "loss_sum", loss_sum, {});
  require_shape("evaluate_cross_entropy", "hits", hits, {});
  require_dtype("evaluate_cross_entropy", "loss_sum", loss_sum, logits.dtype());
  require_dtype("evaluate_cross_entropy", "hits", hits, DType::i32);
  logits.backend().softmax_cross_entropy(logits, labels, 1.0, {}, loss_sum.out(), hits.out());
  report(logits, labels, false);
}

}  // namespace alma
