#pragma once
#include "kernels/cpu/lanes.h"

namespace alma {

/// Rows of `w` floats, row_of(lane) for each image, become one row of lanes16; lanes from `lanes` on become 0.
template <class RowOf>
inline void rows_to_lanes(const RowOf& row_of, std::int64_t lanes, std::int64_t w, float* row) {
  constexpr int n = kLanes<float>;
  for (int part = 0; part < kLaneParts; ++part) {
    const std::int64_t count = lanes_of_part(lanes, part);
    float* to = row + part * n;
    for (std::int64_t j = 0; j < w; j += n) {
      const std::int64_t columns = std::min<std::int64_t>(n, w - j);
      Vector<float> square[n];
#pragma GCC unroll 16
      for (int i = 0; i < n; ++i) square[i] = i < count ? load_part(row_of(part * n + i) + j, columns) : Vector<float>{};
      transpose<float>(square);
#pragma GCC unroll 16
      for (int i = 0; i < n; ++i)
        if (i < columns) store_vector(to + (j + i) * kImageLanes, square[i]);
    }
  }
}

/// The way back: the first `lanes` lanes of a row of `w` elements become rows `stride` apart.
inline void lanes_to_rows(const float* row, std::int64_t w, std::int64_t lanes, float* rows, std::int64_t stride) {
  constexpr int n = kLanes<float>;
  for (int part = 0; part < kLaneParts; ++part) {
    const std::int64_t count = lanes_of_part(lanes, part);
    const float* from = row + part * n;
    float* to = rows + part * n * stride;
    for (std::int64_t j = 0; j < w; j += n) {
      const std::int64_t columns = std::min<std::int64_t>(n, w - j);
      Vector<float> square[n];
#pragma GCC unroll 16
      for (int i = 0; i < n; ++i) square[i] = i < columns ? load_vector(from + (j + i) * kImageLanes) : Vector<float>{};
      transpose<float>(square);
#pragma GCC unroll 16
      for (int i = 0; i < n; ++i)
        if (i < count) store_part(to + i * stride + j, square[i], columns);
    }
  }
}

}  // namespace alma
