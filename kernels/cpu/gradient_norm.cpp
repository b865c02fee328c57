#include <cmath>

#include "kernels/checks/optimizer.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/rows.h"

namespace alma {

void CpuBackend::gradient_norm(std::span<const In> gradients, const Out& norm) {
  const Observed seen = check::gradient_norm(*this, gradients, norm);
  for_float("gradient_norm", norm.dtype, [&](auto type) {
    using T = decltype(type);
    constexpr std::int64_t grain = 16384;
    double total = 0;
    for (const In& gradient : gradients) {
      const std::int64_t count = gradient.shape.count(), pieces = ceil_divide(count, grain);
      T* sums = workspace_.take<T>(pieces);
      for_pieces(pool_, count, grain, 0.2, [&](std::int64_t begin, std::int64_t end) {
        const T* g = gradient.as<T>() + begin;
        sums[begin / grain] = lane_sum<T>(end - begin, [g](std::int64_t i) { return g[i] * g[i]; });
      });
      for (std::int64_t p = 0; p < pieces; ++p) total += sums[p];
    }
    *norm.as<T>() = static_cast<T>(std::sqrt(total));
  });
}

}  // namespace alma
