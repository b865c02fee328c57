#pragma once
#include <cstdint>

#include "kernels/cpu/vector.h"

namespace alma {

/// Copies `rows` rows of `k` elements, `stride` apart, to columns: element (i, k) to to[k * step + i]; zeros from `rows` to
/// the next multiple of lanes, which is at most `step`.
template <class T>
void pack_transposed(const T* from, std::int64_t stride, std::int64_t rows, std::int64_t k, T* to, std::int64_t step) {
  constexpr int lanes = kLanes<T>;
  for (std::int64_t top = 0; top < rows; top += lanes) {
    const std::int64_t height = rows - top < lanes ? rows - top : lanes;
    for (std::int64_t left = 0; left < k; left += lanes) {
      const std::int64_t width = k - left < lanes ? k - left : lanes;
      const T* source = from + top * stride + left;
      Vector<T> block[lanes];
      if (width == lanes) {
#pragma GCC unroll 16
        for (int i = 0; i < lanes; ++i) block[i] = i < height ? load_vector(source + i * stride) : Vector<T>{};
      } else {
        for (int i = 0; i < lanes; ++i) block[i] = i < height ? load_part(source + i * stride, width) : Vector<T>{};
      }
      transpose<T>(block);
      T* target = to + left * step + top;
      if (width == lanes) {
#pragma GCC unroll 16
        for (int i = 0; i < lanes; ++i) store_vector(target + i * step, block[i]);
      } else {
        for (std::int64_t i = 0; i < width; ++i) store_vector(target + i * step, block[i]);
      }
    }
  }
}

/// The way back: element (i, k) from from[k * step + i] to to[i * stride + k], for `rows` rows of `k` elements.
template <class T>
void unpack_transposed(const T* from, std::int64_t step, std::int64_t rows, std::int64_t k, T* to, std::int64_t stride) {
  constexpr int lanes = kLanes<T>;
  for (std::int64_t top = 0; top < rows; top += lanes) {
    const std::int64_t height = rows - top < lanes ? rows - top : lanes;
    for (std::int64_t left = 0; left < k; left += lanes) {
      const std::int64_t width = k - left < lanes ? k - left : lanes;
      Vector<T> block[lanes];
      for (int i = 0; i < lanes; ++i) block[i] = i < width ? load_part(from + (left + i) * step + top, height) : Vector<T>{};
      transpose<T>(block);
      for (std::int64_t i = 0; i < height; ++i) store_part(to + (top + i) * stride + left, block[i], width);
    }
  }
}

/// Copies `k` rows of `columns` elements, `stride` apart, to rows `step` apart; zeros as above.
template <class T>
void pack_rows(const T* from, std::int64_t stride, std::int64_t k, std::int64_t columns, T* to, std::int64_t step) {
  constexpr int lanes = kLanes<T>;
  const std::int64_t whole = columns / lanes * lanes;
  for (std::int64_t row = 0; row < k; ++row, from += stride, to += step) {
    for (std::int64_t j = 0; j < whole; j += lanes) store_vector(to + j, load_vector(from + j));
    if (whole < columns) store_vector(to + whole, load_part(from + whole, columns - whole));
  }
}

}  // namespace alma
