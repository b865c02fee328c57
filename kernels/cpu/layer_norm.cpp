#include <cmath>

#include "kernels/checks/norm.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/rows.h"

namespace alma {
namespace {

template <class T>
struct RowStatistics {
  T mean, rstd;
};

template <class T>
RowStatistics<T> statistics(const T* x, std::int64_t n, T epsilon) {
  const T mean = lane_sum<T>(n, [=](std::int64_t j) { return x[j]; }) / static_cast<T>(n);
  const T squares = lane_sum<T>(n, [=](std::int64_t j) { return (x[j] - mean) * (x[j] - mean); });
  return {mean, T(1) / std::sqrt(squares / static_cast<T>(n) + epsilon)};
}

/// dx of one row; dgamma and dbeta gain its terms.
template <class T>
void backward_row(const T* __restrict x, const T* __restrict gamma, RowStatistics<T> row, const T* __restrict dy,
                  std::int64_t n, T* __restrict dx, T* __restrict dgamma, T* __restrict dbeta) {
  const auto normalised = [=](std::int64_t j) { return (x[j] - row.mean) * row.rstd; };
  const T mean = lane_sum<T>(n, [=](std::int64_t j) { return dy[j] * gamma[j]; }) / static_cast<T>(n);
  const T slope = lane_sum<T>(n, [=](std::int64_t j) { return dy[j] * gamma[j] * normalised(j); }) / static_cast<T>(n);
  for (std::int64_t j = 0; j < n; ++j) {
    dx[j] = row.rstd * (dy[j] * gamma[j] - mean - normalised(j) * slope);
    dgamma[j] += dy[j] * normalised(j);
    dbeta[j] += dy[j];
  }
}

}  // namespace

void CpuBackend::layer_norm(const In& x, const In& gamma, const In& beta, double epsilon, const Out& y, const Out& mean,
                            const Out& rstd) {
  const Observed seen = check::layer_norm(*this, x, gamma, beta, y, mean, rstd);
  for_float("layer_norm", x.dtype, [&](auto type) {
    using T = decltype(type);
    const std::int64_t n = x.shape[1];
    const T* __restrict scale = gamma.as<T>(), * __restrict shift = beta.as<T>();
    for_rows(pool_, x.shape[0], n, 0.6 * static_cast<double>(n), [&](std::int64_t row) {
      const T* __restrict from = x.as<T>() + row * n;
      T* __restrict to = y.as<T>() + row * n;
      const RowStatistics<T> s = statistics(from, n, static_cast<T>(epsilon));
      for (std::int64_t j = 0; j < n; ++j) to[j] = (from[j] - s.mean) * s.rstd * scale[j] + shift[j];
      if (!mean) return;
      mean.as<T>()[row] = s.mean;
      rstd.as<T>()[row] = s.rstd;
    });
  });
}

void CpuBackend::layer_norm_backward(const In& x, const In& gamma, const In& mean, const In& rstd, const In& dy,
                                     const Out& dx, const Out& dgamma, const Out& dbeta) {
  const Observed seen = check::layer_norm_backward(*this, x, gamma, mean, rstd, dy, dx, dgamma, dbeta);
  for_float("layer_norm_backward", x.dtype, [&](auto type) {
    using T = decltype(type);
    const std::int64_t rows = x.shape[0], n = x.shape[1];
    // Each piece of rows sums dgamma and dbeta by itself; the sums are added in index order.
    const std::int64_t grain = std::max<std::int64_t>(128, rows_per_piece(n)), pieces = ceil_divide(rows, grain);
    T* sums = workspace_.take<T>(pieces * 2 * n);
    for_pieces(pool_, rows, grain, 1.2 * static_cast<double>(n), [&](std::int64_t begin, std::int64_t end) {
      T *scale_sums = sums + begin / grain * 2 * n, *shift_sums = scale_sums + n;
      std::fill_n(scale_sums, 2 * n, T(0));
      for (std::int64_t row = begin; row < end; ++row)
        backward_row<T>(x.as<T>() + row * n, gamma.as<T>(), {mean.as<T>()[row], rstd.as<T>()[row]}, dy.as<T>() + row * n, n,
                        dx.as<T>() + row * n, scale_sums, shift_sums);
    });
    std::fill_n(dgamma.as<T>(), n, T(0));
    std::fill_n(dbeta.as<T>(), n, T(0));
    for (std::int64_t piece = 0; piece < pieces; ++piece) {
      for (std::int64_t j = 0; j < n; ++j) dgamma.as<T>()[j] += sums[piece * 2 * n + j];
      for (std::int64_t j = 0; j < n; ++j) dbeta.as<T>()[j] += sums[(piece * 2 + 1) * n + j];
    }
  });
}

}  // namespace alma
