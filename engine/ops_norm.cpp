#include "engine/ops_norm.h"

#include "engine/ops_check.h"

namespace alma {

Tensor layer_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, double epsilon) {
  const char* op = "layer_norm";
  require_row_major(op, x);
  if (x.shape().rank() == 0 || x.shape().last() == 0) fail("[layer_norm] no elements in the rows of ", x.shape());
  const std::int64_t n = x.shape().last();
  for (const auto& [name, parameter] : {std::pair{"gamma", &gamma}, std::pair{"beta", &beta}}) {
    require_shape(op, name, *parameter, {n});
    require_dtype(op, name, *parameter, x.dtype());
  }
  const Shape rows{x.count() / n, n};
  const bool recorded = Tape::enabled() && (x.requires_grad() || gamma.requires_grad() || beta.requires_grad());
  const auto statistic = [&] { return recorded ? Tensor::empty(x.context(), {rows[0]}, x.dtype()) : Tensor(); };
  const Tensor y = Tensor::empty(x.context(), x.shape(), x.dtype()), mean = statistic(), rstd = statistic();
  x.backend().layer_norm(x.view(rows), gamma, beta, epsilon, y.view(rows).out(), recorded ? mean.out() : Out{},
                         recorded ? rstd.out() : Out{});
  const auto elements = static_cast<Count>(x.count());
  x.context().add_cost({0, 7 * elements, bytes_of(x, y)});
  return record(op, {x, gamma, beta}, y,
                [x = x.detach(), gamma = gamma.detach(), mean, rstd, rows, elements](const Tensor& dy, Grads& grads) {
                  const Tensor dx = Tensor::empty(x.context(), x.shape(), x.dtype());
                  const Tensor dgamma = Tensor::empty(x.context(), gamma.shape(), x.dtype());
                  const Tensor dbeta = Tensor::empty(x.context(), gamma.shape(), x.dtype());
                  x.backend().layer_norm_backward(x.view(rows), gamma, mean, rstd, dy.view(rows), dx.view(rows).out(),
                                                  dgamma.out(), dbeta.out());
                  x.context().add_cost({0, 11 * elements, bytes_of(x, dy, dx)});
                  grads.add(0, dx);
                  grads.add(1, dgamma);
                  grads.add(2, dbeta);
                });
}

}  // namespace alma
