#pragma once
#include <algorithm>
#include <cstdint>
#include <limits>

#include "kernels/cpu/exp.h"
#include "kernels/cpu/pack.h"
#include "kernels/cpu/rows.h"

namespace alma {

/// Rows up to this length are worked on 16 at a time, one per lane: ten classes fill no vector, sixteen rows do.
inline constexpr std::int64_t kNarrow = 64;

/// Up to 16 rows of up to kNarrow elements, transposed: element j of row r at value[j][r]. Rows that are not there are 0.
template <class T>
struct RowBlock {
  static constexpr int rows = 16;
  alignas(64) T value[kNarrow][rows];
  alignas(64) T max[rows];
  alignas(64) T sum[rows];

  void load(const T* x, std::int64_t n, std::int64_t count) {
    pack_transposed(x, n, count, n, value[0], rows);
    for (std::int64_t r = (count + kLanes<T> - 1) / kLanes<T> * kLanes<T>; r < rows; ++r)
      for (std::int64_t j = 0; j < n; ++j) value[j][r] = T(0);
  }
  void store(std::int64_t n, std::int64_t count, T* y) const { unpack_transposed(value[0], rows, count, n, y, n); }
  /// max = largest element, NaN left out (it spoils the sum instead); sum and value = e^(value - max).
  void exponentiate(std::int64_t n) {
    std::fill_n(max, rows, -std::numeric_limits<T>::infinity());
    for (std::int64_t j = 0; j < n; ++j)
      for (int r = 0; r < rows; ++r) max[r] = value[j][r] > max[r] ? value[j][r] : max[r];
    std::fill_n(sum, rows, T(0));
    for (std::int64_t j = 0; j < n; ++j) {
      for (int r = 0; r < rows; ++r) value[j][r] = exponential(value[j][r] - max[r]);
      for (int r = 0; r < rows; ++r) sum[r] += value[j][r];
    }
  }
};

/// y = e^(x - max), which is returned summed. y may be x.
template <class T>
T exponentiate_row(const T* x, std::int64_t n, T max, T* y) {
#pragma GCC ivdep
  for (std::int64_t i = 0; i < n; ++i) y[i] = exponential(x[i] - max);
  return lane_sum<T>(n, [y](std::int64_t i) { return y[i]; });
}

}  // namespace alma
