// Layer normalisation, forward.
#include "kernels/cuda/launch.h"

#include "kernels/checks/norm.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/layer_norm_rows.h"

namespace alma {
namespace {

struct Forward {
  const float *x, *gamma, *beta;
  float *y, *mean, *rstd;  // mean and rstd may be null
  std::int64_t rows, n;
  float epsilon;
  bool aligned;

  /// Called by all threads of the team of the row; returns rstd.
  __device__ float finish(std::int64_t row, int lane, const Moments& moments) const {
    const float scale = 1 / sqrtf(moments.squares / moments.count + epsilon);
    if (lane == 0 && mean != nullptr) {
      store<float>(mean + row, moments.rounded_mean());
      store<float>(rstd + row, scale);
    }
    return scale;
  }
};

template <int width>
__device__ __forceinline__ Pack<width> normalise(const Pack<width>& x, float mean, float rstd, const Pack<width>& gamma,
                                                 const Pack<width>& beta) {
  Pack<width> y;
  ALMA_UNROLL
  for (int k = 0; k < width; ++k) y.v[k] = fmaf((x.v[k] - mean) * rstd, gamma.v[k], beta.v[k]);
  return y;
}

template <class C>
__global__ void __launch_bounds__(C::block) layer_norm_kernel(const __grid_constant__ Forward a) {
  const RowPart<C> part(a.n);
  Pack<C::width> gamma[C::items] = {}, beta[C::items] = {};
  part.load_row(a.gamma, a.aligned, gamma);
  part.load_row(a.beta, a.aligned, beta);
  // Every team goes round equally often, because all lanes take part in the sums.
  for (std::int64_t first = std::int64_t{blockIdx.x} * C::teams; first < a.rows;
       first += std::int64_t{gridDim.x} * C::teams) {
    const std::int64_t row = first + threadIdx.x / C::lanes;
    const bool present = row < a.rows;
    Pack<C::width> x[C::items] = {};
    if (present) part.load_row(a.x + row * a.n, a.aligned, x);
    const Moments moments = moments_of(part, x, part.elements());
    if (!present) continue;
    const float mean = moments.rounded_mean(), rstd = a.finish(row, part.lane, moments);
    part.each(
        [&](int i, int c) { store_pack(a.y + row * a.n + c, normalise(x[i], mean, rstd, gamma[i], beta[i]), a.aligned); });
  }
}

// A block per row, which goes through it twice; what fits into registers at a time adds to the moments together.
template <class C>
__global__ void __launch_bounds__(C::block) layer_norm_long_kernel(const __grid_constant__ Forward a) {
  constexpr std::int64_t step = C::lanes * C::items * C::width;
  const std::int64_t row = blockIdx.x;
  const float* in = a.x + row * a.n;
  Moments moments;
  for (std::int64_t first = 0; first < a.n; first += step) {
    const RowPart<C> part(a.n, first);
    Pack<C::width> x[C::items] = {};
    part.load_row(in + first, a.aligned, x);
    moments = merge(moments, moments_of(part, x, part.elements()));
  }
  const float mean = moments.rounded_mean(), rstd = a.finish(row, static_cast<int>(threadIdx.x), moments);
  for (std::int64_t c = threadIdx.x * C::width; c < a.n; c += C::lanes * C::width) {
    const Pack<C::width> x = load_pack<C::width>(in + c, a.aligned), gamma = load_pack<C::width>(a.gamma + c, a.aligned),
                         beta = load_pack<C::width>(a.beta + c, a.aligned);
    store_pack(a.y + row * a.n + c, normalise(x, mean, rstd, gamma, beta), a.aligned);
  }
}

}  // namespace

void CudaBackend::layer_norm(const In& x, const In& gamma, const In& beta, double epsilon, const Out& y, const Out& mean,
                             const Out& rstd) {
  const Entry entry(gpu_, __func__);
  const Observed seen = check::layer_norm(*this, x, gamma, beta, y, mean, rstd);
  require_f32("layer_norm", x);
  const std::int64_t rows = x.shape[0], n = x.shape[1];
  if (rows == 0) return;
  const bool aligned = aligned16(x.data) && aligned16(gamma.data) && aligned16(beta.data) && aligned16(y.data);
  const Forward a{x.as<float>(),
                  gamma.as<float>(),
                  beta.as<float>(),
                  y.as<float>(),
                  mean.as<float>(),
                  rstd.as<float>(),
                  rows,
                  n,
                  static_cast<float>(epsilon),
                  aligned};
  with_row_cut(n, [&](auto cut) {
    using C = decltype(cut);
    if (n > kLongestInRegisters) {
      if constexpr (C::lanes == kLongBlock) launch(layer_norm_long_kernel<C>, rows, C::block, 0, stream_, a);
    } else {
      launch(layer_norm_kernel<C>, grid_for(rows * C::lanes, C::block), C::block, 0, stream_, a);
    }
  });
}

}  // namespace alma
