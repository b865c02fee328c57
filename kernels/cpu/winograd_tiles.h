#pragma once
#include "kernels/cpu/lanes.h"

/// What the forward and the weight gradient in Winograd's form share: tiles of 2 x 2 outputs and the 4 x 4 inputs under
/// them, as 16 transformed points.
namespace alma::winograd {

inline constexpr int kPoints = 16;

/// Consecutive tiles, counted over the planes of all blocks; h and w are even.
struct Tiles {
  std::int64_t count, across, down;

  explicit Tiles(const LaneImages& z) : count(z.blocks() * (z.h / 2) * (z.w / 2)), across(z.w / 2), down(z.h / 2) {}
  std::int64_t block(std::int64_t tile) const { return tile / (across * down); }
  std::int64_t row(std::int64_t tile) const { return tile / across % down; }
  std::int64_t column(std::int64_t tile) const { return tile % across; }
  /// Of the corner of the tile's inputs, in channel 0 of images of `channels` planes.
  std::int64_t offset(const LaneImages& z, std::int64_t channels, std::int64_t tile) const {
    return block(tile) * channels * z.plane() + 2 * row(tile) * z.row() + 2 * column(tile) * kImageLanes;
  }
};

/// Floats between two points of `planes` planes of `tiles` tiles: a cache line more than they need, so that the points of a
/// tile do not share a cache set.
inline std::int64_t point_stride(std::int64_t planes, std::int64_t tiles) {
  return planes * tiles * kImageLanes + kImageLanes;
}

/// B^T d along one dimension.
inline void transform_inputs(Vector<float>& a, Vector<float>& b, Vector<float>& c, Vector<float>& d) {
  const Vector<float> second = b + c;
  a -= c;
  d = b - d;
  c -= b;
  b = second;
}

/// B^T d B of the 4 x 4 inputs d of a tile; load(i, j) gives them. Points are `stride` apart.
template <class Load>
inline void transform_tile(const Load& load, float* to, std::int64_t stride) {
  Vector<float> d[4][4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) d[i][j] = load(i, j);
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) transform_inputs(d[0][j], d[1][j], d[2][j], d[3][j]);
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    transform_inputs(d[i][0], d[i][1], d[i][2], d[i][3]);
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) store_vector(to + (4 * i + j) * stride, d[i][j]);
  }
}

}  // namespace alma::winograd
