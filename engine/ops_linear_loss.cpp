#include <algorithm>

#include "engine/deferred_product.h"
#include "engine/ops_check.h"
#include "engine/ops_elementwise.h"
#include "engine/ops_loss.h"
#include "engine/ops_matmul.h"
#include "engine/ops_reduce.h"
#include "engine/product.h"

namespace alma {

namespace {

constexpr const char* kName = "linear_cross_entropy";

void check(const Tensor& x, const Tensor& weight, const Tensor& labels) {
  require_rank(kName, "x", x, 2);
  require_rank(kName, "weight", weight, 2);
  require_shape(kName, "weight", weight, {weight.dim(0), x.dim(1)});
  require_dtype(kName, "weight", weight, x.dtype());
  require_shape(kName, "labels", labels, {x.dim(0)});
  require_dtype(kName, "labels", labels, DType::i32);
  if (weight.dim(0) == 0) fail("[linear_cross_entropy] no classes in weight ", weight.shape());
}

void check(const MeanOver& over, const Tensor& x) {
  if (over.rows == 0) fail("[linear_cross_entropy] the mean over no rows, x is ", x.shape());
  if (over.rows < x.dim(0))
    fail("[linear_cross_entropy] the mean over ", over.rows, " rows, of which ", x.dim(0), " are here");
}

/// What backward() hands on; undefined where not needed.
struct Gradients {
  Tensor x, weight;
};

/// A pass over some rows at a time.
class Chunks {
 public:
  Chunks(const Tensor& x, const Tensor& weight, const Tensor& labels, std::int64_t most_logits)
      : x_(x), weight_(weight), labels_(labels) {
    const std::int64_t rows = x.dim(0), at_once = std::max<std::int64_t>(1, most_logits / weight.dim(0));
    count_ = std::max<std::int64_t>(1, (rows + at_once - 1) / at_once);
    rows_ = (rows + count_ - 1) / count_;
  }
  std::int64_t count() const { return count_; }

  /// losses [count()] = each chunk's scale * sum of losses. hits i32 [count()], or undefined.
  void run(double scale, const Gradients& gradients, const Tensor& losses, const Tensor& hits) const {
    const Tensor all = Tensor::empty(x_.context(), {rows_, weight_.dim(0)}, x_.dtype());
    for (std::int64_t i = 0; i < count_; ++i) {
      const std::int64_t first = std::min(i * rows_, x_.dim(0)), rows = std::min(rows_, x_.dim(0) - first), d = x_.dim(1);
      const Tensor logits = all.part(0, {rows, weight_.dim(0)}), x = x_.part(first * d, {rows, d});
      multiply(x, false, weight_, true, logits, {}, true);
      const bool wanted = gradients.x.defined() || gradients.weight.defined();
      // From here on `logits` is their own gradient.
      x_.backend().softmax_cross_entropy(logits, labels_.part(first, {rows}), scale, wanted ? logits.out() : Out{},
                                         losses.part(i, {}).out(), hits.defined() ? hits.part(i, {}).out() : Out{});
      x_.context().add_cost({0, (wanted ? 6 : 4) * static_cast<Count>(logits.count()), (wanted ? 2 : 1) * bytes_of(logits)});
      if (gradients.x.defined()) multiply(logits, false, weight_, false, gradients.x.part(first * d, {rows, d}), {}, false);
      if (gradients.weight.defined()) multiply(logits, true, x, false, gradients.weight, {.accumulate = i > 0}, false);
    }
  }

 private:
  static void multiply(const Tensor& a, bool transpose_a, const Tensor& b, bool transpose_b, const Tensor& c,
                       const Epilogue& epilogue, bool forward) {
    a.backend().matmul(a, transpose_a, b, transpose_b, c.out(), epilogue, Math::f32);
    const Count macs = macs_of(a.dim(0), a.dim(1), b.dim(transpose_b ? 0 : 1));
    a.context().add_cost({forward ? macs : 0, 2 * macs, bytes_of(a, b, c)});
  }

  const Tensor &x_, &weight_, &labels_;
  std::int64_t count_, rows_;  // rows of each, of which the last one may have fewer
};

Tensor loss_of(const Tensor& x, const Tensor& weight, const Tensor& labels, const Shape& shape, MeanOver over,
               std::int64_t most_logits) {
  if (over.rows == 0 && x.shape().rank() == 2) over.rows = x.dim(0);
  check(x, weight, labels);
  check(over, x);
  const auto gradient_of = [](const Tensor& input) {
    return Tape::enabled() && input.requires_grad() ? Tensor::empty(input.context(), input.shape(), input.dtype())
                                                    : Tensor();
  };
  const Gradients gradients{gradient_of(x), gradient_of(weight)};
  const Chunks chunks(x, weight, labels, most_logits);
  const Tensor losses = Tensor::empty(x.context(), {chunks.count()}, x.dtype());
  chunks.run(1.0 / static_cast<double>(over.rows), gradients, losses, {});
  return record(kName, {x, weight}, (chunks.count() == 1 ? losses : sum(losses)).view(shape),
                [gradients](const Tensor& cotangent, Grads& grads) {
                  const auto scaled = [&](const Tensor& gradient) {
                    return cotangent.is_one() ? gradient : gradient * cotangent;  // the usual loss: no extra pass
                  };
                  if (gradients.x.defined()) grads.add(0, scaled(gradients.x));
                  if (gradients.weight.defined()) grads.add(1, scaled(gradients.weight));
                });
}

}  // namespace

Tensor linear_cross_entropy(const Tensor& x, const Tensor& weight, const Tensor& labels, MeanOver over,
                            std::int64_t most_logits) {
  return loss_of(x, weight, labels, {}, over, most_logits);
}

Tensor deferred_linear(const Tensor& x, const Tensor& weight) {
  require_rank("deferred_linear", "x", x, 2);
  require_rank("deferred_linear", "weight", weight, 2);
  require_shape("deferred_linear", "weight", weight, {weight.dim(0), x.dim(1)});
  return Tensor::deferred(std::make_shared<DeferredProduct>(x, weight), {x.dim(0), weight.dim(0)}, x.dtype());
}

const Tensor& DeferredProduct::dense() {
  if (!dense_.defined()) dense_ = linear(x, weight, {});
  return dense_;
}

Tensor cross_entropy_of(const DeferredProduct& logits, const Tensor& labels, const Shape& losses, MeanOver over) {
  return loss_of(logits.x, logits.weight, labels, losses, over, kMostLogits);
}

void evaluate_cross_entropy_of(const DeferredProduct& logits, const Tensor& labels, const Tensor& loss_sum,
                               const Tensor& hits) {
  check(logits.x, logits.weight, labels);
  const Chunks chunks(logits.x, logits.weight, labels, kMostLogits);
  const Tensor losses = Tensor::empty(loss_sum.context(), {chunks.count()}, loss_sum.dtype());
  const Tensor hits_of_chunks = Tensor::empty(hits.context(), {chunks.count()}, DType::i32);
  chunks.run(1, {}, losses, hits_of_chunks);
  loss_sum.copy_from(sum(losses));
  std::int32_t all = 0;
  for (const std::int32_t some : hits_of_chunks.to_vector<std::int32_t>()) all += some;
  hits.assign(std::span<const std::int32_t>(&all, 1));
}

}  // namespace alma
