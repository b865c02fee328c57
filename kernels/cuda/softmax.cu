// Softmax and its backward.
#include "kernels/cuda/launch.h"

#include "kernels/checks/softmax.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/rows.h"

namespace alma {
namespace {

constexpr int kBlock = 256;

template <int lanes, int items>
__global__ void __launch_bounds__(kBlock) softmax_kernel(const float* x, float* y, std::int64_t rows, std::int64_t n) {
  const std::int64_t r = std::int64_t{blockIdx.x} * teams_in<kBlock, lanes> + threadIdx.x / lanes;
  Row<lanes, items> row(x + r * n, n, r < rows);
  const float max = row.max(), scale = 1 / row.exponentials(max);
  row.each([&](int i, int c) { store<float>(y + r * n + c, row.value[i] * scale); });
}

__global__ void __launch_bounds__(kBlock) softmax_long_kernel(const float* x, float* y, std::int64_t n) {
  const std::int64_t first = std::int64_t{blockIdx.x} * n;
  const Exponentials all = exponentials_of<kBlock>(x + first, n);
  const float scale = 1 / all.sum;
  for (std::int64_t c = threadIdx.x; c < n; c += kBlock)
    store<float>(y + first + c, expf(load<float>(x + first + c) - all.max) * scale);
}

template <int lanes, int items>
__global__ void __launch_bounds__(kBlock)
    softmax_backward_kernel(const float* y, const float* dy, float* dx, std::int64_t rows, std::int64_t n) {
  const std::int64_t r = std::int64_t{blockIdx.x} * teams_in<kBlock, lanes> + threadIdx.x / lanes;
  Row<lanes, items> probability(y + r * n, n, r < rows), cotangent(dy + r * n, n, r < rows);
  float dot = 0;
  probability.each([&](int i, int) { dot = fmaf(probability.value[i], cotangent.value[i], dot); });
  dot = team_reduce<lanes>(dot, Sum{});
  probability.each([&](int i, int c) { store<float>(dx + r * n + c, probability.value[i] * (cotangent.value[i] - dot)); });
}

__global__ void __launch_bounds__(kBlock)
    softmax_backward_long_kernel(const float* y, const float* dy, float* dx, std::int64_t n) {
  const std::int64_t first = std::int64_t{blockIdx.x} * n;
  float dot = 0;
  for (std::int64_t c = threadIdx.x; c < n; c += kBlock)
    dot = fmaf(load<float>(y + first + c), load<float>(dy + first + c), dot);
  dot = team_reduce<kBlock>(dot, Sum{});
  for (std::int64_t c = threadIdx.x; c < n; c += kBlock)
    store<float>(dx + first + c, load<float>(y + first + c) * (load<float>(dy + first + c) - dot));
}

}  // namespace

void CudaBackend::softmax(const In& x, const Out& y) {
  const Entry entry(gpu_, __func__);
  const Observed seen = check::softmax(*this, x, y);
  require_f32("softmax", x);
  const std::int64_t rows = x.shape.rows(), n = x.shape.last();
  if (rows == 0) return;
  with_cut<kBlock>(n, [&](auto cut) {
    using C = decltype(cut);
    if constexpr (C::items == 0) {
      launch(softmax_long_kernel, rows, C::lanes, 0, stream_, x.as<float>(), y.as<float>(), n);
    } else {
      launch(softmax_kernel<C::lanes, C::items>, blocks_for(rows, teams_in<kBlock, C::lanes>), kBlock, 0, stream_,
             x.as<float>(), y.as<float>(), rows, n);
    }
  });
}

void CudaBackend::softmax_backward(const In& y, const In& dy, const Out& dx) {
  const Entry entry(gpu_, __func__);
  const Observed seen = check::softmax_backward(*this, y, dy, dx);
  require_f32("softmax_backward", y);
  const std::int64_t rows = y.shape.rows(), n = y.shape.last();
  if (rows == 0) return;
  with_cut<kBlock>(n, [&](auto cut) {
    using C = decltype(cut);
    if constexpr (C::items == 0) {
      launch(softmax_backward_long_kernel, rows, C::lanes, 0, stream_, y.as<float>(), dy.as<float>(), dx.as<float>(), n);
    } else {
      launch(softmax_backward_kernel<C::lanes, C::items>, blocks_for(rows, teams_in<kBlock, C::lanes>), kBlock, 0, stream_,
             y.as<float>(), dy.as<float>(), dx.as<float>(), rows, n);
    }
  });
}

}  // namespace alma
