// Causal softmax: row i of a [t, t] matrix is a row of i + 1 elements, then zeros.
#include "kernels/cuda/launch.h"

#include "kernels/checks/softmax.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/rows.h"

namespace alma {
namespace {

constexpr int kBlock = 256;

struct Matrices {
  std::int64_t rows, t;
  float scale;
};

/// The row that this thread's team works on.
template <int lanes>
struct Place {
  std::int64_t first;  // element
  std::int64_t n;      // elements that count
  bool present;

  __device__ explicit Place(const Matrices& m) {
    const std::int64_t row = std::int64_t{blockIdx.x} * teams_in<kBlock, lanes> + threadIdx.x / lanes;
    present = row < m.rows;
    first = row * m.t;
    n = row % m.t + 1;
  }
  /// Zeros behind the elements that count.
  __device__ void finish(float* y, std::int64_t t) const {
    if (!present) return;
    for (std::int64_t c = n + threadIdx.x % lanes; c < t; c += lanes) store<float>(y + first + c, 0.0f);
  }
};

template <int lanes, int items>
__global__ void __launch_bounds__(kBlock, 2) causal_softmax_kernel(const float* x, float* y, Matrices m) {
  const Place<lanes> place(m);
  Row<lanes, items> row(x + place.first, place.n, place.present);
  ALMA_UNROLL
  for (int i = 0; i < items; ++i) row.value[i] = i * lanes + row.lane < row.n ? row.value[i] * m.scale : -INFINITY;
  const float scale = 1 / row.exponentials(row.max());
  row.each([&](int i, int c) { store<float>(y + place.first + c, row.value[i] * scale); });
  place.finish(y, m.t);
}

template <int lanes, int items>
__global__ void __launch_bounds__(kBlock)
    causal_softmax_backward_kernel(const float* y, const float* dy, float* dx, Matrices m) {
  const Place<lanes> place(m);
  Row<lanes, items> probability(y + place.first, place.n, place.present),
      cotangent(dy + place.first, place.n, place.present);
  float dot = 0;
  probability.each([&](int i, int) { dot = fmaf(probability.value[i], cotangent.value[i], dot); });
  dot = team_reduce<lanes>(dot, Sum{});
  probability.each([&](int i, int c) {
    store<float>(dx + place.first + c, m.scale * (probability.value[i] * (cotangent.value[i] - dot)));
  });
  place.finish(dx, m.t);
}

/// Calls f with the cut for rows of up to t elements.
template <class F>
void with_causal_cut(const char* op, std::int64_t t, F f) {
  if (t > kMaxInBlock) fail("[", op, "] rows of up to ", kMaxInBlock, " elements on cuda, got ", t);
  with_cut<kBlock>(t, [&](auto cut) {
    if constexpr (decltype(cut)::items > 0) f(cut);
  });
}

}  // namespace

void CudaBackend::causal_softmax(const In& x, double scale, const Out& y) {
  const Entry entry(gpu_, __func__);
  const Observed seen = check::causal_softmax(*this, x, y);
  require_f32("causal_softmax", x);
  const Matrices m{x.shape.rows(), x.shape.last(), static_cast<float>(scale)};
  if (x.shape.count() == 0) return;
  with_causal_cut("causal_softmax", m.t, [&](auto cut) {
    using C = decltype(cut);
    launch(causal_softmax_kernel<C::lanes, C::items>, blocks_for(m.rows, teams_in<kBlock, C::lanes>), kBlock, 0, stream_,
           x.as<float>(), y.as<float>(), m);
  });
}

void CudaBackend::causal_softmax_backward(const In& y, const In& dy, double scale, const Out& dx) {
  const Entry entry(gpu_, __func__);
  const char* op = "causal_softmax_backward";
  const Observed seen = check::causal_softmax_backward(*this, y, dy, dx);
  require_f32(op, y);
  const Matrices m{y.shape.rows(), y.shape.last(), static_cast<float>(scale)};
  if (y.shape.count() == 0) return;
  with_causal_cut(op, m.t, [&](auto cut) {
    using C = decltype(cut);
    launch(causal_softmax_backward_kernel<C::lanes, C::items>, blocks_for(m.rows, teams_in<kBlock, C::lanes>), kBlock, 0,
           stream_, y.as<float>(), dy.as<float>(), dx.as<float>(), m);
  });
}

}  // namespace alma
