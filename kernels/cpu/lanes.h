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

/// Makes the halo of one plane zeros where it lies beside rows begin to end of the images, and above the first row and below
/// the last.
template <class T>
void clear_halo(const LaneImages& z, std::int64_t begin, std::int64_t end, T* plane) {
  if (begin == 0) std::fill_n(plane, z.row(), T(0));
  for (std::int64_t i = begin; i < end; ++i) {
    T* row = plane + (i + 1) * z.row();
    std::fill_n(row, kImageLanes, T(0));
    std::fill_n(row + (z.w + 1) * kImageLanes, kImageLanes, T(0));
  }
  if (end == z.h) std::fill_n(plane + (z.h + 1) * z.row(), z.row(), T(0));
}

/// Images of the vector number `part` of a block that holds `lanes` of them: kLanes, or less, or none.
constexpr std::int64_t lanes_of_part(std::int64_t lanes, int part) {
  return std::clamp<std::int64_t>(lanes - part * kLanes<float>, 0, kLanes<float>);
}

/// Sum over the `lanes` images of a block of one row of `w` elements.
inline float sum_of_row(const float* row, std::int64_t w, std::int64_t lanes) {
  Vector<float> sum = {};
  for (int part = 0; part < kLaneParts; ++part, row += kLanes<float>) {
    const std::int64_t count = lanes_of_part(lanes, part);
    if (count == kLanes<float>) {
      for (std::int64_t j = 0; j < w; ++j) sum += load_vector(row + j * kImageLanes);
    } else if (count > 0) {
      for (std::int64_t j = 0; j < w; ++j) sum += load_part(row + j * kImageLanes, count);
    }
  }
  return sum_lanes<float>(sum);
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
