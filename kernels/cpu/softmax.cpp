#include "kernels/checks/softmax.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/softmax_rows.h"

namespace alma {
namespace {

template <class T>
void softmax_narrow(const T* x, std::int64_t n, std::int64_t rows, T* y) {
  RowBlock<T> block;
  for (std::int64_t row = 0; row < rows; row += block.rows) {
    const std::int64_t count = std::min<std::int64_t>(block.rows, rows - row);
    block.load(x + row * n, n, count);
    block.exponentiate(n);
    for (int r = 0; r < block.rows; ++r) block.sum[r] = T(1) / block.sum[r];
    for (std::int64_t j = 0; j < n; ++j)
      for (int r = 0; r < block.rows; ++r) block.value[j][r] *= block.sum[r];
    block.store(n, count, y + row * n);
  }
}

template <class T>
void softmax_wide(const T* x, std::int64_t n, T* y) {
  const T inverse = T(1) / exponentiate_row(x, n, largest(x, n), y);
#pragma GCC ivdep
  for (std::int64_t j = 0; j < n; ++j) y[j] *= inverse;
}

}  // namespace

void CpuBackend::softmax(const In& x, const Out& y) {
  const Observed seen = check::softmax(*this, x, y);
  for_float("softmax", x.dtype, [&](auto type) {
    using T = decltype(type);
    const std::int64_t n = x.shape.last();
    const double nanoseconds = 2 * static_cast<double>(n);
    for_pieces(pool_, x.shape.rows(), rows_per_piece(n), nanoseconds, [&](std::int64_t begin, std::int64_t end) {
      if (n <= kNarrow) return softmax_narrow(x.as<T>() + begin * n, n, end - begin, y.as<T>() + begin * n);
      for (std::int64_t row = begin; row < end; ++row) softmax_wide(x.as<T>() + row * n, n, y.as<T>() + row * n);
    });
  });
}

void CpuBackend::softmax_backward(const In& y, const In& dy, const Out& dx) {
  const Observed seen = check::softmax_backward(*this, y, dy, dx);
  for_float("softmax_backward", y.dtype, [&](auto type) {
    using T = decltype(type);
    const std::int64_t n = y.shape.last();
    const double nanoseconds = 0.5 * static_cast<double>(n) + 5;
    for_pieces(pool_, y.shape.rows(), rows_per_piece(n), nanoseconds, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        const T* value = y.as<T>() + row * n;
        const T* g = dy.as<T>() + row * n;
        T* to = dx.as<T>() + row * n;
        const T sum = lane_sum<T>(n, [=](std::int64_t j) { return value[j] * g[j]; });
#pragma GCC ivdep
        for (std::int64_t j = 0; j < n; ++j) to[j] = value[j] * (g[j] - sum);
      }
    });
  });
}

}  // namespace alma
