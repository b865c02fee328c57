#include "engine/ops_reduce.h"

#include "engine/ops_broadcast.h"
#include "engine/ops_check.h"
#include "engine/ops_elementwise.h"

namespace alma {

namespace {

struct Axes {
  Shape kept;     // summed axes as size 1
  Shape dropped;  // without them
};

Axes without(const char* op, const Shape& shape, std::initializer_list<int> axes) {
  std::array<bool, Shape::max_rank> summed{};
  for (int axis : axes) {
    const int i = axis < 0 ? axis + shape.rank() : axis;
    if (i < 0 || i >= shape.rank()) fail("[", op, "] axis ", axis, " of a tensor ", shape);
    summed[static_cast<std::size_t>(i)] = true;
  }
  Axes result;
  for (int i = 0; i < shape.rank(); ++i) {
    const bool gone = summed[static_cast<std::size_t>(i)];
    result.kept.push_back(gone ? 1 : shape[i]);
    if (!gone) result.dropped.push_back(shape[i]);
  }
  return result;
}

// sum_to keeps the summed axes as size 1; the same numbers under the shorter shape.
Tensor sum_axes(const Tensor& x, const Axes& axes, bool keep) {
  const Tensor y = sum_to(x, axes.kept);
  if (keep || axes.kept == axes.dropped) return y;
  return record("sum", {y}, y.view(axes.dropped),
                [kept = axes.kept](const Tensor& dy, Grads& grads) { grads.add(0, dy.view(kept)); });
}

double one_over(const char* op, std::int64_t count, const Shape& shape) {
  if (count == 0) fail("[", op, "] no elements in ", shape);
  return 1.0 / static_cast<double>(count);
}

}  // namespace

Tensor sum(const Tensor& x) { return sum_to(x, {}); }
Tensor sum(const Tensor& x, std::initializer_list<int> axes, bool keep) {
  return sum_axes(x, without("sum", x.shape(), axes), keep);
}
Tensor mean(const Tensor& x) { return affine(sum(x), one_over("mean", x.count(), x.shape()), 0); }
Tensor mean(const Tensor& x, std::initializer_list<int> axes, bool keep) {
  const Axes result = without("mean", x.shape(), axes);
  std::int64_t summed = 1;
  for (int i = 0; i < x.shape().rank(); ++i)
    if (result.kept[i] == 1) summed *= x.shape()[i];
  return affine(sum_axes(x, result, keep), one_over("mean", summed, x.shape()), 0);
}

Tensor argmax(const Tensor& x) {
  require_rank("argmax", "x", x, 2);
  if (x.dim(1) == 0) fail("[argmax] no elements in the rows of ", x.shape());
  Tensor y = Tensor::empty(x.context(), {x.dim(0)}, DType::i32);
  x.backend().argmax(x, y.out());
  x.context().add_cost({0, 0, bytes_of(x, y)});
  return y;
}

}  // namespace alma
