#pragma once
#include "kernels/cpu/lanes.h"

/// What the forward and the weight gradient in Winograd's form share: F(2 x 4, 3 x 3) (Lavin & Gray 2016). A tile of 2 x 4
/// outputs and the 4 x 6 inputs under it become 4 x 6 points; 24 multiplications stand for 72.
namespace alma::winograd {

/// F(2, 3), down a tile: polynomials of outputs, kernel and inputs at the points 0, 1, -1 and infinity.
struct Down {
  static constexpr int outputs = 2, points = 4;

  /// B^T d, in place.
  static void transform_inputs(Vector<float> (&d)[points]) {
    const Vector<float> second = d[1] + d[2];
    d[0] -= d[2];
    d[3] = d[1] - d[3];
    d[2] -= d[1];
    d[1] = second;
  }
  /// A^T m.
  static void transform_products(const Vector<float> (&m)[points], Vector<float> (&y)[outputs]) {
    y[0] = m[0] + m[1] + m[2];
    y[1] = m[1] - m[2] - m[3];
  }
  /// A s: the way back of A^T m.
  static void transform_slopes(const Vector<float> (&s)[outputs], Vector<float> (&w)[points]) {
    w[0] = s[0];
    w[1] = s[0] + s[1];
    w[2] = s[0] - s[1];
    w[3] = -s[1];
  }
  /// G; a column holds what belongs to an element of the kernel.
  static constexpr double g[points][3] = {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}};
};

/// F(4, 3), across a tile, at 0, a, -a, b, -b and infinity. With a and b near 1 powers of a point neither grow nor shrink
/// much, and sums err about as much as plain ones; with the usual 1 and 2 they err twice as much.
struct Across {
  static constexpr int outputs = 4, points = 6;
  static constexpr float a = 0.75f, b = 1.5f, a2 = a * a, b2 = b * b;

  static void transform_inputs(Vector<float> (&d)[points]) {
    const Vector<float> even_a = d[4] - d[2] * b2, odd_a = (d[3] - d[1] * b2) * a;
    const Vector<float> even_b = d[4] - d[2] * a2, odd_b = (d[3] - d[1] * a2) * b;
    d[0] = d[0] * (a2 * b2) + (d[4] - d[2] * (a2 + b2));
    d[5] = d[1] * (a2 * b2) + (d[5] - d[3] * (a2 + b2));
    d[1] = even_a + odd_a;
    d[2] = even_a - odd_a;
    d[3] = even_b + odd_b;
    d[4] = even_b - odd_b;
  }
  static void transform_products(const Vector<float> (&m)[points], Vector<float> (&y)[outputs]) {
    const Vector<float> even_a = m[1] + m[2], odd_a = m[1] - m[2], even_b = m[3] + m[4], odd_b = m[3] - m[4];
    y[0] = m[0] + even_a + even_b;
    y[1] = odd_a * a + odd_b * b;
    y[2] = even_a * a2 + even_b * b2;
    y[3] = odd_a * (a2 * a) + (odd_b * (b2 * b) + m[5]);
  }
  static void transform_slopes(const Vector<float> (&s)[outputs], Vector<float> (&w)[points]) {
    const Vector<float> even_a = s[0] + s[2] * a2, odd_a = (s[1] + s[3] * a2) * a;
    const Vector<float> even_b = s[0] + s[2] * b2, odd_b = (s[1] + s[3] * b2) * b;
    w[0] = s[0];
    w[1] = even_a + odd_a;
    w[2] = even_a - odd_a;
    w[3] = even_b + odd_b;
    w[4] = even_b - odd_b;
    w[5] = s[3];
  }
  static constexpr double at_a = 1 / (2.0 * a2 * (a2 - b2)), at_b = 1 / (2.0 * b2 * (b2 - a2));
  static constexpr double g[points][3] = {{1 / (1.0 * a2 * b2), 0, 0}, {at_a, at_a* a, at_a* a2},
                                          {at_a, -at_a* a, at_a* a2},  {at_b, at_b* b, at_b* b2},
                                          {at_b, -at_b* b, at_b* b2},  {0, 0, 1}};
};

inline constexpr int kPoints = Down::points * Across::points;

/// The tiles of all planes with one number, block after block; they cover h x w exactly.
struct Tiles {
  std::int64_t across, down, count;

  explicit Tiles(const LaneImages& z)
      : across(z.w / Across::outputs), down(z.h / Down::outputs), count(z.blocks() * across * down) {}
};

/// At most Most consecutive tiles that are worked on together.
template <int Most>
struct Strip {
  std::int64_t count = 0;
  std::int64_t block[Most], row[Most], column[Most];

  Strip(const Tiles& tiles, std::int64_t first, std::int64_t size) {
    for (std::int64_t tile = first; tile < std::min(first + size, tiles.count); ++tile, ++count) {
      block[count] = tile / (tiles.across * tiles.down);
      row[count] = tile / tiles.across % tiles.down;
      column[count] = tile % tiles.across;
    }
  }
};

/// Where the corners of a strip's inputs lie in channel 0 of images.
template <int Most>
struct Corners {
  std::int64_t count, at[Most];

  Corners(const LaneImages& z, std::int64_t channels, const Strip<Most>& strip) : count(strip.count) {
    for (std::int64_t i = 0; i < count; ++i)
      at[i] = strip.block[i] * channels * z.plane() + Down::outputs * strip.row[i] * z.row() +
              Across::outputs * strip.column[i] * kImageLanes;
  }
};

/// Memory works while the processor multiplies: each step asks for one tile's outputs in one channel, or for those of its
/// inputs that no tile above has read, to be brought into the cache of the core. `images` is the first element of them in a
/// tile whose corner has offset 0.
template <int Write, int Most>
class Prefetch {
 public:
  Prefetch(const LaneImages& z, std::int64_t channels, const Corners<Most>& corners, const float* images)
      : z_(z), corners_(corners), images_(images), left_(corners.count == 0 ? 0 : channels) {}
  void step() {
    if (left_ == 0) return;
    const float* at = images_ + corners_.at[tile_];
    for (int i = 0; i < Down::outputs; ++i)
      for (int j = 0; j < Across::outputs; ++j) __builtin_prefetch(at + i * z_.row() + j * kImageLanes, Write, 2);
    if (++tile_ == corners_.count) tile_ = 0, images_ += z_.plane(), --left_;
  }

 private:
  const LaneImages& z_;
  const Corners<Most>& corners_;
  const float* images_;
  std::int64_t left_, tile_ = 0;  // channels, and the tile in the first of them
};

/// Floats between two points of `planes` planes of `tiles` tiles: a cache line more than they need, so that the points of a
/// tile do not share a cache set.
inline std::int64_t point_stride(std::int64_t planes, std::int64_t tiles) {
  return planes * tiles * kImageLanes + kImageLanes;
}

/// B^T d B of the inputs d of a tile; load(i, j) gives them. Points are `stride` apart.
template <class Load>
inline void transform_inputs(const Load& load, float* to, std::int64_t stride) {
  Vector<float> d[Across::points][Down::points];
#pragma GCC unroll 8
  for (int j = 0; j < Across::points; ++j) {
#pragma GCC unroll 8
    for (int i = 0; i < Down::points; ++i) d[j][i] = load(i, j);
    Down::transform_inputs(d[j]);
  }
#pragma GCC unroll 8
  for (int i = 0; i < Down::points; ++i) {
    Vector<float> row[Across::points];
#pragma GCC unroll 8
    for (int j = 0; j < Across::points; ++j) row[j] = d[j][i];
    Across::transform_inputs(row);
#pragma GCC unroll 8
    for (int j = 0; j < Across::points; ++j) store_vector(to + (i * Across::points + j) * stride, row[j]);
  }
}

}  // namespace alma::winograd
