#include "kernels/checks/mix.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/rows.h"

namespace alma {

void CpuBackend::mix(const In& gates, std::span<const In> experts, const Out& y) {
  const Observed seen = check::mix(*this, gates, experts, y);
  for_float("mix", y.dtype, [&](auto type) {
    using T = decltype(type);
    const std::int64_t rows = y.shape[0], n = y.shape[1];
    const double nanoseconds = 0.3 * static_cast<double>(n * gates.shape[1]);
    for_pieces(pool_, rows, rows_per_piece(n), nanoseconds, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        const T* gate = gates.as<T>() + row * gates.shape[1];
        T* __restrict sum = y.as<T>() + row * n;
        for (std::size_t k = 0; k < experts.size(); ++k) {
          const T* __restrict expert = experts[k].as<T>() + row * n;
          if (k == 0) {
            for (std::int64_t j = 0; j < n; ++j) sum[j] = gate[k] * expert[j];
          } else {
            for (std::int64_t j = 0; j < n; ++j) sum[j] += gate[k] * expert[j];
          }
        }
      }
    });
  });
}

void CpuBackend::mix_backward(const In& gates, std::span<const In> experts, const In& dy, const Out& dgates,
                              std::span<const Out> dexperts) {
  const Observed seen = check::mix_backward(*this, gates, experts, dy, dgates, dexperts);
  for_float("mix_backward", dy.dtype, [&](auto type) {
    using T = decltype(type);
    const std::int64_t rows = dy.shape[0], n = dy.shape[1], gates_per_row = gates.shape[1];
    const double nanoseconds = 0.6 * static_cast<double>(n * gates_per_row);
    for_pieces(pool_, rows, rows_per_piece(n), nanoseconds, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        const T* __restrict g = dy.as<T>() + row * n;
        for (std::size_t k = 0; k < experts.size(); ++k) {
          const std::int64_t index = row * gates_per_row + static_cast<std::int64_t>(k);
          const T gate = gates.as<T>()[index];
          const T* __restrict expert = experts[k].as<T>() + row * n;
          T* __restrict dexpert = dexperts[k].as<T>() + row * n;
          for (std::int64_t j = 0; j < n; ++j) dexpert[j] = gate * g[j];
          dgates.as<T>()[index] = lane_sum<T>(n, [=](std::int64_t j) { return expert[j] * g[j]; });
        }
      }
    });
  });
}

}  // namespace alma
