#include "kernels/checks.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/parallel.h"

namespace alma {
namespace {

/// Rows [begin, end) of a product's backward: dz where asked, column sums where asked.
template <class T>
void backward_rows(const In& dy, const In& y, const Out& dz, std::int64_t begin, std::int64_t end, T* sums) {
  const std::int64_t n = dy.shape[1];
  if (sums != nullptr) std::fill_n(sums, n, T(0));
  for (std::int64_t row = begin; row < end; ++row) {
    const T* g = dy.as<T>() + row * n;
    if (y) {
      const T* out = y.as<T>() + row * n;
      T* masked = dz.as<T>() + row * n;
#pragma GCC ivdep
      for (std::int64_t j = 0; j < n; ++j) masked[j] = out[j] > T(0) ? g[j] : T(0);
      g = masked;
    }
    if (sums != nullptr) {
#pragma GCC ivdep
      for (std::int64_t j = 0; j < n; ++j) sums[j] += g[j];
    }
  }
}

}  // namespace

void CpuBackend::bias_relu_backward(const In& dy, const In& y, const Out& dz, const Out& dbias) {
  check::bias_relu_backward(dy, y, dz, dbias);
  for_float("bias_relu_backward", dy.dtype, [&](auto type) {
    using T = decltype(type);
    const std::int64_t m = dy.shape[0], n = dy.shape[1];
    // One piece holds a training batch; the sums of several are added in index order.
    const std::int64_t grain = std::max<std::int64_t>(128, rows_per_piece(n)), pieces = ceil_divide(m, grain);
    T* sums = nullptr;
    if (dbias) sums = pieces == 1 ? dbias.as<T>() : workspace_.take<T>(pieces * n);
    for_pieces(pool_, m, grain, 0.5 * static_cast<double>(n), [&](std::int64_t begin, std::int64_t end) {
      backward_rows<T>(dy, y, dz, begin, end, sums == nullptr ? nullptr : sums + begin / grain * n);
    });
    if (!dbias || pieces == 1) return;
    std::fill_n(dbias.as<T>(), n, T(0));
    for (std::int64_t piece = 0; piece < pieces; ++piece)
      for (std::int64_t j = 0; j < n; ++j) dbias.as<T>()[j] += sums[piece * n + j];
  });
}

}  // namespace alma
