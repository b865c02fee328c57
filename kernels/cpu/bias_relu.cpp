#include "kernels/checks/reduce.h"
#include "kernels/cpu/column_sums.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/parallel.h"

namespace alma {
namespace {

template <class T>
void mask(const T* dy, const T* y, T* dz, std::int64_t n) {
#pragma GCC ivdep
  for (std::int64_t i = 0; i < n; ++i) dz[i] = y[i] > T(0) ? dy[i] : T(0);
}

}  // namespace

void CpuBackend::bias_relu_backward(const In& dy, const In& y, const Out& dz, const Out& dbias) {
  const Observed seen = check::bias_relu_backward(*this, dy, y, dz, dbias);
  for_float("bias_relu_backward", dy.dtype, [&](auto type) {
    using T = decltype(type);
    const std::int64_t m = dy.shape[0], n = dy.shape[1];
    // One piece holds a training batch; the sums of several are added in index order.
    const std::int64_t grain = std::max<std::int64_t>(128, rows_per_piece(n)), pieces = ceil_divide(m, grain);
    T* sums = nullptr;
    if (dbias) sums = pieces == 1 ? dbias.as<T>() : workspace_.take<T>(pieces * n);
    for_pieces(pool_, m, grain, 0.2 * static_cast<double>(n), [&](std::int64_t begin, std::int64_t end) {
      const T* g = dy.as<T>() + begin * n;
      if (y) {
        T* masked = dz.as<T>() + begin * n;
        mask(g, y.as<T>() + begin * n, masked, (end - begin) * n);
        g = masked;
      }
      if (sums != nullptr) column_sums(g, end - begin, n, sums + begin / grain * n);
    });
    if (!dbias || pieces == 1) return;
    std::fill_n(dbias.as<T>(), n, T(0));
    for (std::int64_t piece = 0; piece < pieces; ++piece)
      for (std::int64_t j = 0; j < n; ++j) dbias.as<T>()[j] += sums[piece * n + j];
  });
}

}  // namespace alma
