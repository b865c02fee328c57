#include "kernels/checks/pool.h"
#include "kernels/cpu/adaptive_windows.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/pool_lanes.h"

namespace alma {
namespace {

/// The larger one wins; NaN wins over numbers and over an earlier NaN.
template <class T>
bool wins(T challenger, T best) {
  return challenger > best || challenger != challenger;
}

template <class T>
void max_pool_plane(const T* x, const check::PoolSizes& sizes, const PoolWindow& window, T* y, std::uint8_t* place) {
  for (std::int64_t i = 0; i < sizes.oh; ++i) {
    for (std::int64_t j = 0; j < sizes.ow; ++j) {
      const T* corner = x + i * window.stride * sizes.w + j * window.stride;
      T best = *corner;
      std::int64_t at = 0;
      for (std::int64_t k = 1; k < window.height * window.width; ++k) {
        const T value = corner[k / window.width * sizes.w + k % window.width];
        if (!wins(value, best)) continue;
        best = value;
        at = k;
      }
      y[i * sizes.ow + j] = best;
      if (place != nullptr) place[i * sizes.ow + j] = static_cast<std::uint8_t>(at);
    }
  }
}

}  // namespace

void CpuBackend::max_pool(const In& x, const PoolWindow& window, const Out& y, const Out& place) {
  const auto seen = check::max_pool(*this, x, window, y, place);
  const check::PoolSizes& sizes = seen.sizes;
  if (x.layout == Layout::lanes16) return max_pool_lanes(pool_, x, window, y, place);
  for_float("max_pool", x.dtype, [&](auto type) {
    using T = decltype(type);
    const std::int64_t in = sizes.h * sizes.w, out = sizes.oh * sizes.ow;
    const double nanoseconds = static_cast<double>(out * window.height * window.width);
    for_rows(pool_, sizes.planes, in, nanoseconds, [&](std::int64_t plane) {
      max_pool_plane(x.as<T>() + plane * in, sizes, window, y.as<T>() + plane * out,
                     place ? place.as<std::uint8_t>() + plane * out : nullptr);
    });
  });
}

void CpuBackend::max_pool_backward(const In& dy, const In& place, const PoolWindow& window, const Out& dx) {
  const auto seen = check::max_pool_backward(*this, dy, place, window, dx);
  const check::PoolSizes& sizes = seen.sizes;
  if (dx.layout == Layout::lanes16) return max_pool_lanes_backward(pool_, dy, place, window, dx);
  for_float("max_pool_backward", dx.dtype, [&](auto type) {
    using T = decltype(type);
    const std::int64_t in = sizes.h * sizes.w, out = sizes.oh * sizes.ow;
    for_rows(pool_, sizes.planes, in, static_cast<double>(in + out), [&](std::int64_t plane) {
      T* to = dx.as<T>() + plane * in;
      std::fill_n(to, in, T(0));
      for (std::int64_t o = 0; o < out; ++o) {
        const std::int64_t at = place.as<std::uint8_t>()[plane * out + o];
        const std::int64_t row = o / sizes.ow * window.stride + at / window.width;
        const std::int64_t column = o % sizes.ow * window.stride + at % window.width;
        to[row * sizes.w + column] += dy.as<T>()[plane * out + o];
      }
    });
  });
}

void CpuBackend::adaptive_average_pool(const In& x, const Out& y) {
  const auto seen = check::adaptive_average_pool(*this, x, y);
  const check::PoolSizes& sizes = seen.sizes;
  if (x.layout == Layout::lanes16) return adaptive_average_pool_lanes(pool_, x, y);
  for_float("adaptive_average_pool", x.dtype, [&](auto type) {
    using T = decltype(type);
    const std::int64_t in = sizes.h * sizes.w, out = sizes.oh * sizes.ow;
    for_rows(pool_, sizes.planes, in, static_cast<double>(in + out), [&](std::int64_t plane) {
      const T* from = x.as<T>() + plane * in;
      for_windows(sizes.h, sizes.w, sizes.oh, sizes.ow, [&](std::int64_t output, const Span& rows, const Span& columns) {
        double sum = 0;
        for (std::int64_t row = rows.begin; row < rows.end; ++row)
          for (std::int64_t column = columns.begin; column < columns.end; ++column) sum += from[row * sizes.w + column];
        y.as<T>()[plane * out + output] = static_cast<T>(sum / elements<double>(rows, columns));
      });
    });
  });
}

void CpuBackend::adaptive_average_pool_backward(const In& dy, const Out& dx) {
  const auto seen = check::adaptive_average_pool_backward(*this, dy, dx);
  const check::PoolSizes& sizes = seen.sizes;
  if (dx.layout == Layout::lanes16) return adaptive_average_pool_lanes_backward(pool_, dy, dx);
  for_float("adaptive_average_pool_backward", dx.dtype, [&](auto type) {
    using T = decltype(type);
    const std::int64_t in = sizes.h * sizes.w, out = sizes.oh * sizes.ow;
    for_rows(pool_, sizes.planes, in, static_cast<double>(in + out), [&](std::int64_t plane) {
      T* to = dx.as<T>() + plane * in;
      std::fill_n(to, in, T(0));
      for_windows(sizes.h, sizes.w, sizes.oh, sizes.ow, [&](std::int64_t output, const Span& rows, const Span& columns) {
        const T share = dy.as<T>()[plane * out + output] / elements<T>(rows, columns);
        for (std::int64_t row = rows.begin; row < rows.end; ++row)
          for (std::int64_t column = columns.begin; column < columns.end; ++column) to[row * sizes.w + column] += share;
      });
    });
  });
}

}  // namespace alma
