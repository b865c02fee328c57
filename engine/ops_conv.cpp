#include "engine/ops_conv.h"

#include "engine/ops_check.h"
#include "engine/ops_elementwise.h"

namespace alma {

namespace {

Tensor like(const Tensor& x) { return Tensor::empty(x.context(), x.shape(), x.dtype(), x.layout()); }
Tensor per_channel(const Tensor& x) { return Tensor::empty(x.context(), {x.dim(1)}, x.dtype()); }

void require_images(const char* op, const Tensor& x) { require_rank(op, "x", x, 4); }

// Output size of a window that walks over `size` elements.
std::int64_t steps(const char* op, std::int64_t size, std::int64_t window, std::int64_t stride) {
  if (stride < 1 || window < 1 || size < window)
    fail("[", op, "] a window of ", window, " with stride ", stride, " over ", size);
  return (size - window) / stride + 1;
}

}  // namespace

Tensor to_layout(const Tensor& x, Layout layout) {
  if (x.layout() == layout) return x;
  require_images("to_layout", x);
  const Tensor y = Tensor::empty(x.context(), x.shape(), x.dtype(), layout);
  x.backend().convert_layout(x, y.out());
  x.context().add_cost({0, 0, bytes_of(x, y)});
  return record("to_layout", {x}, y, [from = x.layout()](const Tensor& dy, Grads& grads) {
    const Tensor dx = Tensor::empty(dy.context(), dy.shape(), dy.dtype(), from);
    dy.backend().convert_layout(dy, dx.out());
    dy.context().add_cost({0, 0, bytes_of(dy, dx)});
    grads.add(0, dx);
  });
}

Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const ConvGeometry& geometry) {
  require_images("conv2d", x);
  require_rank("conv2d", "weight", weight, 4);
  if (bias.defined()) require_shape("conv2d", "bias", bias, {weight.dim(0)});
  const std::int64_t h = steps("conv2d", x.dim(2) + 2 * geometry.padding_h, weight.dim(2), geometry.stride_h);
  const std::int64_t w = steps("conv2d", x.dim(3) + 2 * geometry.padding_w, weight.dim(3), geometry.stride_w);
  const Tensor y = Tensor::empty(x.context(), {x.dim(0), weight.dim(0), h, w}, x.dtype(), x.layout());
  x.backend().conv2d(x, weight, bias.defined() ? bias.in() : In{}, geometry, y.out(), Math::f32);
  const Count macs = static_cast<Count>(x.dim(0) * h * w) * static_cast<Count>(weight.count());
  x.context().add_cost({macs, 2 * macs, bytes_of(x, weight, y)});
  return record("conv2d", {x, weight, bias}, y,
                [x = x.detach(), weight = weight.detach(), geometry, macs](const Tensor& dy, Grads& grads) {
                  if (grads.wanted(1) || grads.wanted(2)) {
                    const Tensor dweight = Tensor::empty(x.context(), weight.shape(), weight.dtype());
                    const Tensor dbias =
                        grads.wanted(2) ? Tensor::empty(x.context(), {weight.dim(0)}, weight.dtype()) : Tensor();
                    x.backend().conv2d_weight_gradient(x, dy, geometry, dweight.out(), dbias.defined() ? dbias.out() : Out{},
                                                       Math::f32);
                    x.context().add_cost({0, 2 * macs, bytes_of(x, dy, dweight)});
                    grads.add(1, dweight);
                    if (dbias.defined()) grads.add(2, dbias);
                  }
                  if (grads.wanted(0)) {
                    const Tensor dx = like(x);
                    x.backend().conv2d_data_gradient(dy, weight, geometry, dx.out(), Math::f32);
                    x.context().add_cost({0, 2 * macs, bytes_of(dy, weight, dx)});
                    grads.add(0, dx);
                  }
                });
}

Tensor batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, const BatchNormRule& rule,
                  const Tensor& running_mean, const Tensor& running_var) {
  require_images("batch_norm", x);
  const Tensor y = like(x), mean = per_channel(x), rstd = per_channel(x);
  x.backend().batch_norm(x, gamma, beta, rule, running_mean.out(), running_var.out(), y.out(), mean.out(), rstd.out());
  const auto n = static_cast<Count>(x.count());
  x.context().add_cost({2 * n, 7 * n, bytes_of(x, y)});
  return record("batch_norm", {x, gamma, beta}, y,
                [x = x.detach(), gamma = gamma.detach(), beta = beta.detach(), mean, rstd, relu = rule.relu, n](
                    const Tensor& dy, Grads& grads) {
                  const Tensor dx = Grads::in_place_of(dy), dgamma = per_channel(x), dbeta = per_channel(x);
                  x.backend().batch_norm_backward(x, gamma, relu ? beta.in() : In{}, mean, rstd, dy, dx.out(), dgamma.out(),
                                                  dbeta.out());
                  x.context().add_cost({0, 11 * n, bytes_of(x, dy, dx)});
                  grads.add(0, dx);
                  grads.add(1, dgamma);
                  grads.add(2, dbeta);
                });
}

Tensor batch_norm_inference(const Tensor& x, const Tensor& gamma, const Tensor& beta, const BatchNormRule& rule,
                            const Tensor& running_mean, const Tensor& running_var) {
  require_images("batch_norm_inference", x);
  const Tensor y = like(x);
  x.backend().batch_norm_inference(x, gamma, beta, running_mean, running_var, rule.epsilon, rule.relu, y.out());
  const auto n = static_cast<Count>(x.count());
  x.context().add_cost({2 * n, 2 * n, bytes_of(x, y)});
  return record("batch_norm_inference", {x, gamma, beta}, y,
                [x = x.detach(), gamma = gamma.detach(), y = rule.relu ? y.detach() : Tensor(), mean = running_mean.detach(),
                 variance = running_var.detach(), epsilon = rule.epsilon, n](const Tensor& dy, Grads& grads) {
                  Tensor dz = dy;  // before the ReLU
                  if (y.defined()) {
                    dz = like(dy);
                    dy.backend().binary(BinaryOp::relu_gradient, dy.flat(), y.flat(), dz.flat());
                    dy.context().add_cost({0, n, bytes_of(dy, y, dz)});
                  }
                  if (grads.wanted(0)) {  // dz * gamma * rstd: what the forward does to images of mean 0, without a shift
                    const Tensor dx = like(x), zero = Tensor::zeros(x.context(), gamma.shape(), gamma.dtype());
                    x.backend().batch_norm_inference(dz, gamma, zero, zero, variance, epsilon, false, dx.out());
                    x.context().add_cost({0, 2 * n, bytes_of(dz, dx)});
                    grads.add(0, dx);
                  }
                  if (grads.wanted(1) || grads.wanted(2)) {  // those of training, where dx is another one and goes unused
                    const Tensor one = Tensor::full(x.context(), variance.shape(), variance.dtype(), 1);
                    const Tensor rstd = one / sqrt(affine(variance, 1, epsilon)),
                                 unused = y.defined() ? dz : Grads::in_place_of(dy);
                    const Tensor dgamma = per_channel(x), dbeta = per_channel(x);
                    x.backend().batch_norm_backward(x, gamma, {}, mean, rstd, dz, unused.out(), dgamma.out(), dbeta.out());
                    x.context().add_cost({0, 11 * n, bytes_of(x, dz, unused)});
                    grads.add(1, dgamma);
                    grads.add(2, dbeta);
                  }
                });
}

Tensor max_pool(const Tensor& x, const PoolWindow& window) {
  require_images("max_pool", x);
  const Shape shape{x.dim(0), x.dim(1), steps("max_pool", x.dim(2), window.height, window.stride),
                    steps("max_pool", x.dim(3), window.width, window.stride)};
  const bool recorded = Tape::enabled() && Tape::node_of(x);
  const Tensor y = Tensor::empty(x.context(), shape, x.dtype(), x.layout());
  const Tensor place = recorded ? Tensor::empty(x.context(), shape, DType::u8, x.layout()) : Tensor();
  x.backend().max_pool(x, window, y.out(), recorded ? place.out() : Out{});
  const auto n = static_cast<Count>(y.count() * window.height * window.width);
  x.context().add_cost({0, n, bytes_of(x, y)});
  return record("max_pool", {x}, y,
                [shape = x.shape(), layout = x.layout(), place, window, n](const Tensor& dy, Grads& grads) {
                  const Tensor dx = Tensor::empty(dy.context(), shape, dy.dtype(), layout);
                  dy.backend().max_pool_backward(dy, place, window, dx.out());
                  dy.context().add_cost({0, n, bytes_of(dy, place, dx)});
                  grads.add(0, dx);
                });
}

Tensor adaptive_average_pool(const Tensor& x, std::int64_t h, std::int64_t w) {
  require_images("adaptive_average_pool", x);
  const Tensor y = Tensor::empty(x.context(), {x.dim(0), x.dim(1), h, w}, x.dtype());
  x.backend().adaptive_average_pool(x, y.out());
  const auto n = static_cast<Count>(x.count());
  x.context().add_cost({n, n, bytes_of(x, y)});
  return record("adaptive_average_pool", {x}, y,
                [shape = x.shape(), layout = x.layout(), n](const Tensor& dy, Grads& grads) {
                  const Tensor dx = Tensor::empty(dy.context(), shape, dy.dtype(), layout);
                  dy.backend().adaptive_average_pool_backward(dy, dx.out());
                  dy.context().add_cost({0, n, bytes_of(dy, dx)});
                  grads.add(0, dx);
                });
}

}  // namespace alma
