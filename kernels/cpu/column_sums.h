#pragma once
#include <algorithm>
#include <cstdint>

#include "kernels/cpu/vector.h"

namespace alma {

inline constexpr std::int64_t kNarrowColumns = 64;

/// Column sums of `rows` rows of few columns. A row fills no vector, so as many rows as a vector has lanes are taken
/// together: they are n whole vectors, whose lanes belong to the same columns each time.
template <class T>
void narrow_column_sums(const T* x, std::int64_t rows, std::int64_t n, T* sums) {
  constexpr std::int64_t lanes = kLanes<T>;
  alignas(64) T together[kNarrowColumns * lanes] = {};
  std::int64_t row = 0;
  for (; row + lanes <= rows; row += lanes, x += n * lanes)
    for (std::int64_t v = 0; v < n; ++v)
      store_vector(together + v * lanes, load_vector(together + v * lanes) + load_vector(x + v * lanes));
  for (std::int64_t i = 0; i < (rows - row) * n; ++i) together[i] += x[i];
  for (std::int64_t j = 0; j < n; ++j) sums[j] = together[j];
  for (std::int64_t lane = 1; lane < lanes; ++lane)
    for (std::int64_t j = 0; j < n; ++j) sums[j] += together[lane * n + j];
}

/// sums [n] = column sums of x [rows, n], rows added in order; for batches, whose sums are short.
template <class T>
void column_sums(const T* x, std::int64_t rows, std::int64_t n, T* sums) {
  if (n <= kNarrowColumns) return narrow_column_sums(x, rows, n, sums);
  std::fill_n(sums, n, T(0));
  for (std::int64_t row = 0; row < rows; ++row, x += n) {
#pragma GCC ivdep
    for (std::int64_t j = 0; j < n; ++j) sums[j] += x[j];
  }
}

}  // namespace alma
