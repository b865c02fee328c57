#include "kernels/cpu/conv_winograd.h"
#include "kernels/cpu/winograd_tiles.h"

namespace alma {
namespace {

using namespace winograd;
using V = Vector<float>;

constexpr int kOut = 4;                              // channels of dy in registers
constexpr int kIn = kVectorRegisters >= 32 ? 4 : 2;  // and of x
constexpr int kTileSums = (kOut * kIn + kLanes<float> - 1) / kLanes<float> * kLanes<float>;
constexpr std::int64_t kStrip = 16;     // tiles between two sums over lanes
constexpr std::int64_t kChunks = 8;     // with sums of their own: the same bits for any number of threads
constexpr std::int64_t kFewStrips = 2;  // of a chunk, below which its sums take too large a share

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

/// A s A^T of the slopes s of one tile; load(i, j) gives them. Adds them to `sum`.
template <class Load>
inline void transform_slopes(const Load& load, float* to, std::int64_t stride, V& sum) {
  V columns[Across::outputs][Down::points];
#pragma GCC unroll 8
  for (int j = 0; j < Across::outputs; ++j) {
    V column[Down::outputs];
#pragma GCC unroll 8
    for (int i = 0; i < Down::outputs; ++i) sum += column[i] = load(i, j);
    Down::transform_slopes(column, columns[j]);
  }
#pragma GCC unroll 8
  for (int i = 0; i < Down::points; ++i) {
    V row[Across::outputs], points[Across::points];
#pragma GCC unroll 8
    for (int j = 0; j < Across::outputs; ++j) row[j] = columns[j][i];
    Across::transform_slopes(row, points);
#pragma GCC unroll 8
    for (int j = 0; j < Across::points; ++j) store_vector(to + (i * Across::points + j) * stride, points[j]);
  }
}

/// transform(load, target) for the tiles of a strip in channel c; load(offset) gives lanes of `images` there, zeros where a
/// lane holds no image.
template <class Transform>
void transform_channel(const LaneImages& z, const Strip<kStrip>& strip, const Corners<kStrip>& corners, std::int64_t c,
                       const float* images, float* target, const Transform& transform) {
  for (std::int64_t tile = 0; tile < strip.count; ++tile)
    for (int part = 0; part < kLaneParts; ++part) {
      const std::int64_t lanes = lanes_of_part(z.lanes(strip.block[tile]), part);
      const float* corner = images + corners.at[tile] + c * z.plane() + part * kLanes<float>;
      float* to = target + (c * kStrip + tile) * kImageLanes + part * kLanes<float>;
      if (lanes == kLanes<float>) {
        transform([&](std::int64_t at) { return load_vector(corner + at); }, to);
      } else {
        transform([&](std::int64_t at) { return load_part(corner + at, lanes); }, to);
      }
    }
}

/// Zeros in the channels begin to end of all points.
void clear_channels(std::int64_t begin, std::int64_t end, float* target, std::int64_t stride) {
  for (int point = 0; point < kPoints; ++point)
    std::fill_n(target + point * stride + begin * kStrip * kImageLanes, (end - begin) * kStrip * kImageLanes, 0.0f);
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
void add_strip(const Sizes& s, std::int64_t first, const float* x, const float* dy, float* v, float* w, float* sums,
               double* bias_sums) {
  const Strip<kStrip> here(s.tiles, first, kStrip), next(s.tiles, first + kStrip, kStrip);
  const Corners of_x(s.x, s.x.c, here), of_dy(s.dy, s.dy.c, here);
  const std::int64_t v_point = point_stride(s.in, kStrip), w_point = point_stride(s.out, kStrip);
  for (std::int64_t c = 0; c < s.x.c; ++c)
    transform_channel(s.x, here, of_x, c, x, v, [&](const auto& load, float* to) {
      transform_inputs([&](int i, int j) { return load(i * s.x.row() + j * kImageLanes); }, to, v_point);
    });
  clear_channels(s.x.c, s.in, v, v_point);
  for (std::int64_t k = 0; k < s.dy.c; ++k) {
    V sum = {};
    transform_channel(s.dy, here, of_dy, k, dy, w, [&](const auto& load, float* to) {
      transform_slopes([&](int i, int j) { return load(s.dy.inside() + i * s.dy.row() + j * kImageLanes); }, to, w_point,
                       sum);
    });
    if (bias_sums != nullptr) bias_sums[k] += static_cast<double>(sum_lanes<float>(sum));
  }
  clear_channels(s.dy.c, s.out, w, w_point);
  const Corners next_x(s.x, s.x.c, next), next_dy(s.dy, s.dy.c, next);
  Prefetch<0, kStrip> inputs(s.x, s.x.c, next_x, x + s.x.inside() + s.x.row());
  Prefetch<0, kStrip> slopes(s.dy, s.dy.c, next_dy, dy + s.dy.inside());
  const std::int64_t steps = ceil_divide(kStrip * std::max(s.in, s.out), kPoints * (s.out / kOut) * (s.in / kIn));
  for (int point = 0; point < kPoints; ++point)
    for (std::int64_t k = 0; k < s.out; k += kOut)
      for (std::int64_t c = 0; c < s.in; c += kIn, sums += kTileSums) {
        for (std::int64_t i = 0; i < steps; ++i) inputs.step(), slopes.step();
        add_products(w + point * w_point + k * kStrip * kImageLanes, v + point * v_point + c * kStrip * kImageLanes,
                     here.count, sums);
      }
}

/// dw[k][c] = G^T m G of the chunks' sums m.
void transform_kernels(const Sizes& s, std::int64_t chunks, const float* sums, float* dw) {
  for (std::int64_t k = 0; k < s.dy.c; ++k)
    for (std::int64_t c = 0; c < s.x.c; ++c, dw += 9) {
      double m[Down::points][Across::points] = {};
      for (std::int64_t chunk = 0; chunk < chunks; ++chunk)
        for (int point = 0; point < kPoints; ++point)
          m[point / Across::points][point % Across::points] +=
              sums[chunk * s.sums() + ((point * (s.out / kOut) + k / kOut) * (s.in / kIn) + c / kIn) * kTileSums +
                   c % kIn * kOut + k % kOut];
      for (int column = 0; column < 3; ++column) {
        double along[Down::points] = {};
        for (int i = 0; i < Down::points; ++i)
          for (int j = 0; j < Across::points; ++j) along[i] += m[i][j] * Across::g[j][column];
        for (int row = 0; row < 3; ++row) {
          double sum = 0;
          for (int i = 0; i < Down::points; ++i) sum += along[i] * Down::g[i][row];
          dw[3 * row + column] = static_cast<float>(sum);
        }
      }
    }
}

}  // namespace

void gradient_winograd(ThreadPool* pool, Workspace& workspace, const LaneImages& x, std::int64_t outputs,
                       const float* from_x, const float* from_dy, float* dw, float* dbias) {
  const Sizes s(x, outputs);
  const std::int64_t strips = ceil_divide(s.tiles.count, kStrip),
                     together = std::max(ceil_divide(strips, kChunks), kFewStrips);
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
      add_strip(s, i * kStrip, from_x, from_dy, v, v + v_floats, sums + chunk * s.sums(),
                dbias == nullptr ? nullptr : bias_sums + chunk * outputs);
  });
  transform_kernels(s, chunks, sums, dw);
  if (dbias != nullptr) add_chunks(bias_sums, chunks, outputs, dbias);
}

}  // namespace alma
