#pragma once
#include <algorithm>
#include <cstdint>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vector.h"
#include "kernels/views.h"

namespace alma {

/// Vectors that hold the lanes of one element of a block of images.
inline constexpr int kLaneParts = static_cast<int>(kImageLanes) / kLanes<float>;

/// Where things lie in f32 images [n, c, h, w] of layout lanes16; offsets are in elements.
struct LaneImages {
  std::int64_t n, c, h, w;

  explicit LaneImages(const Shape& shape) : n(shape[0]), c(shape[1]), h(shape[2]), w(shape[3]) {}

  std::int64_t blocks() const { return ceil_divide(n, kImageLanes); }
  std::int64_t row() const { return (w + 2) * kImageLanes; }
  std::int64_t plane() const { return (h + 2) * row(); }
  std::int64_t block() const { return c * plane(); }
  /// From the corner of a plane's halo to its first element.
  std::int64_t inside() const { return row() + kImageLanes; }
  /// Images in this block: 16, or less in the last one.
  std::int64_t lanes(std::int64_t block) const { return std::min(kImageLanes, n - block * kImageLanes); }
};

/// Zeros in both halo elements of a row, which begins with the left one.
template <class T>
inline void clear_sides(const LaneImages& z, T* row) {
  __builtin_memset(row, 0, kImageLanes * sizeof(T));
  __builtin_memset(row + (z.w + 1) * kImageLanes, 0, kImageLanes * sizeof(T));
}

/// Makes the halo of one plane zeros where it lies beside rows begin to end of the images, and above the first row and below
/// the last.
template <class T>
inline void clear_halo(const LaneImages& z, std::int64_t begin, std::int64_t end, T* plane) {
  if (begin == 0) std::fill_n(plane, z.row(), T(0));
  for (std::int64_t i = begin; i < end; ++i) clear_sides(z, plane + (i + 1) * z.row());
  if (end == z.h) std::fill_n(plane + (z.h + 1) * z.row(), z.row(), T(0));
}

/// Images of the vector number `part` of a block that holds `lanes` of them: kLanes, or less, or none.
constexpr std::int64_t lanes_of_part(std::int64_t lanes, int part) {
  return std::clamp<std::int64_t>(lanes - part * kLanes<float>, 0, kLanes<float>);
}

/// Adds to `total` the sums of `Sums` terms over rows begin to end of the plane that starts at offset `plane` and has images
/// in its first `lanes` lanes: term(offset, sums) adds the terms of the vector there. Each of four neighbouring columns has
/// sums of its own, which hides the latency of additions. Sums of a plane are in f32.
template <int Sums, class Term>
inline void add_rows(const LaneImages& z, std::int64_t plane, std::int64_t begin, std::int64_t end, std::int64_t lanes,
                     double (&total)[Sums], const Term& term) {
  for (int part = 0; part < kLaneParts; ++part) {
    const std::int64_t count = lanes_of_part(lanes, part);
    if (count == 0) continue;
    Vector<float> sums[4][Sums] = {};
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t at = plane + z.inside() + i * z.row() + part * kLanes<float>;
      std::int64_t j = 0;
      for (; j + 4 <= z.w; j += 4)
#pragma GCC unroll 4
        for (int k = 0; k < 4; ++k) term(at + (j + k) * kImageLanes, sums[k]);
      for (; j < z.w; ++j) term(at + j * kImageLanes, sums[0]);
    }
    for (int s = 0; s < Sums; ++s) {
      float all[kLanes<float>];
      store_vector(all, Vector<float>((sums[0][s] + sums[1][s]) + (sums[2][s] + sums[3][s])));
      for (std::int64_t lane = 0; lane < count; ++lane) total[s] += all[lane];
    }
  }
}

/// total[i] = sum over the chunks of sums[chunk][i], in their order.
inline void add_chunks(const double* sums, std::int64_t chunks, std::int64_t n, float* total) {
  for (std::int64_t i = 0; i < n; ++i) {
    double sum = 0;
    for (std::int64_t chunk = 0; chunk < chunks; ++chunk) sum += sums[chunk * n + i];
    total[i] = static_cast<float>(sum);
  }
}

}  // namespace alma
