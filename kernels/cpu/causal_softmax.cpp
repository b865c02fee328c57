#include <cmath>

#include "kernels/checks/softmax.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/rows.h"

namespace alma {
namespace {

/// work(row, first): row i of a [t, t] matrix starts at element `first` and has i + 1 elements that count.
template <class Work>
void for_causal_rows(ThreadPool* pool, const Shape& shape, double nanoseconds_each, const Work& work) {
  const std::int64_t t = shape.last();
  for_rows(pool, shape.rows(), t, nanoseconds_each * static_cast<double>(t),
           [&](std::int64_t row) { work(row % t + 1, row * t); });
}

}  // namespace

void CpuBackend::causal_softmax(const In& x, double scale, const Out& y) {
  const Observed seen = check::causal_softmax(*this, x, y);
  for_float("causal_softmax", x.dtype, [&](auto type) {
    using T = decltype(type);
    const T factor = static_cast<T>(scale);
    const std::int64_t t = x.shape.last();
    for_causal_rows(pool_, x.shape, 2, [&](std::int64_t n, std::int64_t first) {
      const T* from = x.as<T>() + first;
      T* to = y.as<T>() + first;
      for (std::int64_t j = 0; j < n; ++j) to[j] = factor * from[j];
      const T max = largest(to, n);
      for (std::int64_t j = 0; j < n; ++j) to[j] = std::exp(to[j] - max);
      const T inverse = T(1) / lane_sum<T>(n, [to](std::int64_t j) { return to[j]; });
      for (std::int64_t j = 0; j < n; ++j) to[j] *= inverse;
      std::fill(to + n, to + t, T(0));
    });
  });
}

void CpuBackend::causal_softmax_backward(const In& y, const In& dy, double scale, const Out& dx) {
  const char* op = "causal_softmax_backward";
  const Observed seen = check::causal_softmax_backward(*this, y, dy, dx);
  for_float(op, y.dtype, [&](auto type) {
    using T = decltype(type);
    const T factor = static_cast<T>(scale);
    const std::int64_t t = y.shape.last();
    for_causal_rows(pool_, y.shape, 0.5, [&](std::int64_t n, std::int64_t first) {
      const T* value = y.as<T>() + first;
      const T* g = dy.as<T>() + first;
      T* to = dx.as<T>() + first;
      const T sum = lane_sum<T>(n, [=](std::int64_t j) { return value[j] * g[j]; });
      for (std::int64_t j = 0; j < n; ++j) to[j] = factor * (value[j] * (g[j] - sum));
      std::fill(to + n, to + t, T(0));
    });
  });
}

}  // namespace alma
