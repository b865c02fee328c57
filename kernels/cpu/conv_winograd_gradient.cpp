#include "kernels/cpu/conv_winograd.h"
#include "kernels/cpu/winograd_tiles.h"

namespace alma {
namespace {

using namespace winograd;
using V = Vector<float>;

constexpr int kOut = 4;                              // channels of dy in registers
constexpr int kIn = kVectorRegisters >= 32 ? 4 : 2;  // and of x
constexpr int kTileSums = (kOut * kIn + kLanes<float> - 1) / kLanes<float> * kLanes<float>;
constexpr std::int64_t kStrip = 32;  // tiles between two sums over lanes
constexpr std::int64_t kChunks = 8;  // with sums of their own: the same bits for any number of threads

struct Sizes {
  LaneImages x, dy;
  Tiles tiles;
  std::int64_t in, out;  // channels, in whole register blocks

  Sizes(const LaneImages& images, std::int64_t outputs)
      : x(images), dy(images), tiles(images), in(ceil_divide(images.c, kIn) * kIn), out(ceil_divide(outputs, kOut) * kOut) {
    dy.c = outputs;
  }
  /// Sums of one chunk: [point][block of out][block of in][kTileSums].
  std::int64_t sums() const { return kPoints * (out / kOut) * (in / kIn) * kTileSums; }
};

/// G dy G^T of one 2 x 2 tile; load(i, j) gives its slopes.
template <class Load>
inline void transform_slopes(const Load& load, float* to, std::int64_t stride) {
  const auto along = [](const V& a, const V& b, V(&points)[4]) {
    points[0] = a;
    points[1] = (a + b) * 0.5f;
    points[2] = (a - b) * 0.5f;
    points[3] = b;
  };
  V columns[2][4], row[4];
  along(load(0, 0), load(1, 0), columns[0]);
  along(load(0, 1), load(1, 1), columns[1]);
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    along(columns[0][i], columns[1][i], row);
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) store_vector(to + (4 * i + j) * stride, row[j]);
  }
}

/// transform(load, target) for the tiles of a strip and the channels of an image; load(offset) gives lanes of `images`
/// there, zeros where a lane holds no image. Channels up to `padded` become zeros.
template <class Transform>
void transform_strip(const LaneImages& z, const Tiles& tiles, std::int64_t first, std::int64_t count, std::int64_t padded,
                     const float* images, float* target, std::int64_t stride, const Transform& transform) {
  for (std::int64_t c = 0; c < z.c; ++c)
    for (std::int64_t tile = 0; tile < count; ++tile)
      for (int part = 0; part < kLaneParts; ++part) {
        const std::int64_t lanes = lanes_of_part(z.lanes(tiles.block(first + tile)), part);
        const float* corner = images + tiles.offset(z, z.c, first + tile) + c * z.plane() + part * kLanes<float>;
        float* to = target + (c * kStrip + tile) * kImageLanes + part * kLanes<float>;
        if (lanes == kLanes<float>) {
          transform([&](std::int64_t at) { return load_vector(corner + at); }, to);
        } else {
          transform([&](std::int64_t at) { return load_part(corner + at, lanes); }, to);
        }
      }
  for (int point = 0; point < kPoints; ++point)
    for (std::int64_t c = z.c; c < padded; ++c)
      std::fill_n(target + point * stride + c * kStrip * kImageLanes, count * kImageLanes, 0.0f);
}

/// Adds the sums over `count` tiles of products of kOut channels of w and kIn of v.
inline void add_products(const float* w, const float* v, std::int64_t count, float* total) {
  constexpr std::int64_t plane = kStrip * kImageLanes;
  V sum[kOut * kIn] = {};
  for (std::int64_t at = 0; at < count * kImageLanes; at += kLanes<float>) {
    V slopes[kOut];
#pragma GCC unroll 4
    for (int k = 0; k < kOut; ++k) slopes[k] = load_vector(w + k * plane + at);
#pragma GCC unroll 4
    for (int c = 0; c < kIn; ++c) {
      const V value = load_vector(v + c * plane + at);
#pragma GCC unroll 4
      for (int k = 0; k < kOut; ++k) sum[c * kOut + k] += value * slopes[k];
    }
  }
  constexpr int n = kLanes<float>;
#pragma GCC unroll 4
  for (int vector = 0; vector * n < kOut * kIn; ++vector) {
    V rows[n];
#pragma GCC unroll 16
    for (int i = 0; i < n; ++i) rows[i] = sum[vector * n + i];
    store_vector(total + vector * n, load_vector(total + vector * n) + sum_each<float>(rows));
  }
}
static_assert(kOut * kIn % kLanes<float> == 0);

/// One strip: adds its part to the sums of its chunk.
void strip(const Sizes& s, std::int64_t first, const float* x, const float* dy, float* v, float* w, float* sums,
           double* bias_sums) {
  const std::int64_t count = std::min(kStrip, s.tiles.count - first);
  const std::int64_t v_point = point_stride(s.in, kStrip), w_point = point_stride(s.out, kStrip);
  transform_strip(s.x, s.tiles, first, count, s.in, x, v, v_point, [&](const auto& load, float* to) {
    transform_tile([&](int i, int j) { return load(i * s.x.row() + j * kImageLanes); }, to, v_point);
  });
  transform_strip(s.dy, s.tiles, first, count, s.out, dy, w, w_point, [&](const auto& load, float* to) {
    transform_slopes([&](int i, int j) { return load(s.dy.inside() + i * s.dy.row() + j * kImageLanes); }, to, w_point);
  });
  for (int point = 0; point < kPoints; ++point)
    for (std::int64_t k = 0; k < s.out; k += kOut)
      for (std::int64_t c = 0; c < s.in; c += kIn, sums += kTileSums)
        add_products(w + point * w_point + k * kStrip * kImageLanes, v + point * v_point + c * kStrip * kImageLanes, count,
                     sums);
  if (bias_sums == nullptr) return;
  // Point (1, 1) of a tile is a quarter of the sum of its slopes.
  for (std::int64_t k = 0; k < s.dy.c; ++k) {
    V sum = {};
    const float* row = w + 5 * w_point + k * kStrip * kImageLanes;
    for (std::int64_t at = 0; at < count * kImageLanes; at += kLanes<float>) sum += load_vector(row + at);
    bias_sums[k] += 4 * static_cast<double>(sum_lanes<float>(sum));
  }
}

/// A^T m along one dimension.
void transform_sums(double a, double b, double c, double d, double (&to)[3]) {
  to[0] = a + b + c;
  to[1] = b - c;
  to[2] = b + c - d;
}

/// dw[k][c] = A^T m A of the chunks' sums m.
void transform_kernels(const Sizes& s, std::int64_t chunks, const float* sums, float* dw) {
  for (std::int64_t k = 0; k < s.dy.c; ++k)
    for (std::int64_t c = 0; c < s.x.c; ++c, dw += 9) {
      double m[kPoints] = {}, rows[4][3], column[3];
      for (std::int64_t chunk = 0; chunk < chunks; ++chunk)
        for (int point = 0; point < kPoints; ++point)
          m[point] += sums[chunk * s.sums() + ((point * (s.out / kOut) + k / kOut) * (s.in / kIn) + c / kIn) * kTileSums +
                           c % kIn * kOut + k % kOut];
      for (int i = 0; i < 4; ++i) transform_sums(m[4 * i], m[4 * i + 1], m[4 * i + 2], m[4 * i + 3], rows[i]);
      for (int j = 0; j < 3; ++j) {
        transform_sums(rows[0][j], rows[1][j], rows[2][j], rows[3][j], column);
        for (int i = 0; i < 3; ++i) dw[3 * i + j] = static_cast<float>(column[i]);
      }
    }
}

}  // namespace

void gradient_winograd(ThreadPool* pool, Workspace& workspace, const LaneImages& x, std::int64_t outputs,
                       const float* from_x, const float* from_dy, float* dw, float* dbias) {
  const Sizes s(x, outputs);
  const std::int64_t strips = ceil_divide(s.tiles.count, kStrip), together = ceil_divide(strips, kChunks);
  const std::int64_t chunks = ceil_divide(strips, together);
  double* bias_sums = workspace.take<double>(chunks * (outputs + ceil_divide(s.sums(), 2)));
  auto* sums = reinterpret_cast<float*>(bias_sums + chunks * outputs);
  const double nanoseconds = 0.3 * static_cast<double>(kPoints * s.in * s.out * kStrip);
  for_pieces(pool, strips, together, nanoseconds, [&](std::int64_t begin, std::int64_t end) {
    thread_local Workspace own;
    const std::int64_t chunk = begin / together, v_floats = kPoints * point_stride(s.in, kStrip);
    float* v = own.take<float>(v_floats + kPoints * point_stride(s.out, kStrip));
    std::fill_n(sums + chunk * s.sums(), s.sums(), 0.0f);
    std::fill_n(bias_sums + chunk * outputs, outputs, 0.0);
    for (std::int64_t i = begin; i < end; ++i)
      strip(s, i * kStrip, from_x, from_dy, v, v + v_floats, sums + chunk * s.sums(),
            dbias == nullptr ? nullptr : bias_sums + chunk * outputs);
  });
  transform_kernels(s, chunks, sums, dw);
  if (dbias != nullptr) add_chunks(bias_sums, chunks, outputs, dbias);
}

}  // namespace alma
