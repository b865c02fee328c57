#include "kernels/cpu/conv_winograd.h"

#include "kernels/cpu/winograd_tiles.h"

namespace alma {
namespace {

using namespace winograd;
using V = Vector<float>;

constexpr int kOut = 4;                                 // output channels in registers
constexpr int kTiles = kVectorRegisters >= 32 ? 4 : 2;  // and tiles
constexpr std::int64_t kCacheFloats = (512 << 10) / 4;  // of a strip's tiles, transformed and multiplied
constexpr std::int64_t kFewTiles = 16;     // below which transforming kernels, or their gradients, takes too long
constexpr std::int64_t kFewChannels = 16;  // below which errors are larger than those of plain sums, with so few terms
constexpr std::int64_t kMostTiles = 8;     // of which one point, in 16 channels, stays in the innermost cache

/// Tiles that are worked on together.
std::int64_t strip_size(const PlanesConv& conv) {
  const std::int64_t fit = kCacheFloats / (kPoints * kImageLanes * (conv.channels + conv.outputs));
  return std::clamp<std::int64_t>(fit / kTiles, 1, kMostTiles / kTiles) * kTiles;
}

std::int64_t padded(std::int64_t outputs) { return ceil_divide(outputs, kOut) * kOut; }

/// G g G^T of all kernels g, [point][block of outputs][channel][kOut]; those of outputs that are not there are 0.
void transform_kernels(const PlanesConv& conv, float* u) {
  const std::int64_t outputs = padded(conv.outputs), point = outputs * conv.channels;
  for (std::int64_t k = 0; k < outputs; ++k)
    for (std::int64_t c = 0; c < conv.channels; ++c) {
      float* to = u + (k / kOut * conv.channels + c) * kOut + k % kOut;
      if (k >= conv.outputs) {
        for (int p = 0; p < kPoints; ++p) to[p * point] = 0;
        continue;
      }
      const float* from = conv.w + (conv.turned ? c * conv.outputs + k : k * conv.channels + c) * 9;
      double rows[3][Across::points];
      for (int i = 0; i < 3; ++i)
        for (int j = 0; j < Across::points; ++j) {
          const auto element = [&](int at) { return from[conv.turned ? 8 - (3 * i + at) : 3 * i + at]; };
          rows[i][j] = Across::g[j][0] * element(0) + Across::g[j][1] * element(1) + Across::g[j][2] * element(2);
        }
      for (int i = 0; i < Down::points; ++i)
        for (int j = 0; j < Across::points; ++j)
          to[(i * Across::points + j) * point] =
              static_cast<float>(Down::g[i][0] * rows[0][j] + Down::g[i][1] * rows[1][j] + Down::g[i][2] * rows[2][j]);
    }
}

/// A^T m A of one tile of products m, plus the bias.
inline void transform_products(const float* m, std::int64_t stride, float bias, float* y, std::int64_t row) {
  V sums[Down::outputs][Across::points];
#pragma GCC unroll 8
  for (int j = 0; j < Across::points; ++j) {
    V column[Down::points], of_column[Down::outputs];
#pragma GCC unroll 8
    for (int i = 0; i < Down::points; ++i) column[i] = load_vector(m + (i * Across::points + j) * stride);
    Down::transform_products(column, of_column);
#pragma GCC unroll 8
    for (int i = 0; i < Down::outputs; ++i) sums[i][j] = of_column[i];
  }
#pragma GCC unroll 8
  for (int i = 0; i < Down::outputs; ++i) {
    V outputs[Across::outputs];
    Across::transform_products(sums[i], outputs);
#pragma GCC unroll 8
    for (int j = 0; j < Across::outputs; ++j) store_vector(y + i * row + j * kImageLanes, V(outputs[j] + bias));
  }
}

/// m[k][tile] = sum over c of u[c][k] v[c][tile] for kOut outputs and kTiles tiles of one point, `stride` apart.
inline void multiply(const float* u, const float* v, std::int64_t channels, std::int64_t stride, float* m) {
  V sum[kOut][kTiles] = {};
  for (std::int64_t c = 0; c < channels; ++c, u += kOut, v += stride) {
#pragma GCC unroll 8
    for (int t = 0; t < kTiles; ++t) {
      const V value = load_vector(v + t * kImageLanes);
#pragma GCC unroll 8
      for (int k = 0; k < kOut; ++k) sum[k][t] += value * u[k];
    }
  }
#pragma GCC unroll 8
  for (int k = 0; k < kOut; ++k)
#pragma GCC unroll 8
    for (int t = 0; t < kTiles; ++t) store_vector(m + k * stride + t * kImageLanes, sum[k][t]);
}

/// The part of the halo that touches tile (i, j), whose corner in the halo this is.
void clear_beside(const LaneImages& z, std::int64_t i, std::int64_t j, float* corner) {
  constexpr int below = Down::outputs + 1, right_of = Across::outputs + 1;
  const bool left = j == 0, right = Across::outputs * (j + 1) == z.w;
  const std::int64_t begin = left ? 0 : 1, end = right ? right_of + 1 : right_of;
  const auto clear = [&](std::int64_t row, std::int64_t from, std::int64_t to) {
    std::fill_n(corner + row * z.row() + from * kImageLanes, (to - from) * kImageLanes, 0.0f);
  };
  if (i == 0) clear(0, begin, end);
  if (Down::outputs * (i + 1) == z.h) clear(below, begin, end);
  for (std::int64_t row = 1; row < below; ++row) {
    if (left) clear(row, 0, 1);
    if (right) clear(row, right_of, right_of + 1);
  }
}

/// The tiles first .. first + size - 1, in three passes through the cache.
void strip(const PlanesConv& conv, const Tiles& tiles, std::int64_t first, std::int64_t size, const float* u, const float* x,
           float* y, float* v, float* m) {
  const LaneImages& z = conv.z;
  const Strip<kMostTiles> here(tiles, first, size);
  const std::int64_t row = size * kImageLanes;
  const std::int64_t v_point = point_stride(conv.channels, size), m_point = point_stride(padded(conv.outputs), size);
  const Corners from(z, conv.channels, here), to(z, conv.outputs, here);
  // Channel by channel, so that memory is read and written in long runs.
  for (std::int64_t c = 0; c < conv.channels; ++c)
    for (std::int64_t tile = 0; tile < here.count; ++tile)
      for (std::int64_t lane = 0; lane < kImageLanes; lane += kLanes<float>)
        transform_inputs([&, d = x + from.at[tile] + c * z.plane() + lane](
                             int i, int j) { return load_vector(d + i * z.row() + j * kImageLanes); },
                         v + c * row + tile * kImageLanes + lane, v_point);
  const Corners next(z, conv.channels, Strip<kMostTiles>(tiles, first + size, size));
  Prefetch<0, kMostTiles> inputs(z, conv.channels, next, x + z.inside() + z.row());
  Prefetch<1, kMostTiles> outputs(z, conv.outputs, to, y + z.inside());
  for (int p = 0; p < kPoints; ++p)
    for (std::int64_t k = 0; k < conv.outputs; k += kOut)
      for (std::int64_t tile = 0; tile < here.count; tile += kTiles) {
        inputs.step();
        outputs.step();
        for (std::int64_t lane = 0; lane < kImageLanes; lane += kLanes<float>)
          multiply(u + (p * padded(conv.outputs) + k) * conv.channels, v + p * v_point + tile * kImageLanes + lane,
                   conv.channels, row, m + p * m_point + k * row + tile * kImageLanes + lane);
      }
  for (std::int64_t k = 0; k < conv.outputs; ++k)
    for (std::int64_t tile = 0; tile < here.count; ++tile) {
      float* corner = y + to.at[tile] + k * z.plane();
      for (std::int64_t lane = 0; lane < kImageLanes; lane += kLanes<float>)
        transform_products(m + k * row + tile * kImageLanes + lane, m_point, conv.bias == nullptr ? 0 : conv.bias[k],
                           corner + z.inside() + lane, z.row());
      clear_beside(z, here.row[tile], here.column[tile], corner);
    }
}

}  // namespace

bool has_winograd(const LaneImages& z, std::int64_t channels, std::int64_t outputs) {
  return z.h % Down::outputs == 0 && z.w % Across::outputs == 0 && channels >= kFewChannels && outputs >= kFewChannels &&
         Tiles(z).count >= kFewTiles;
}

void conv_winograd(ThreadPool* pool, Workspace& workspace, const PlanesConv& conv, const float* x, float* y) {
  float* u = workspace.take<float>(kPoints * padded(conv.outputs) * conv.channels);
  transform_kernels(conv, u);
  const Tiles tiles(conv.z);
  const std::int64_t size = strip_size(conv);
  const double nanoseconds = 0.3 * static_cast<double>(kPoints * padded(conv.outputs) * conv.channels);
  for_pieces(pool, tiles.count, size, nanoseconds, [&](std::int64_t first, std::int64_t) {
    thread_local Workspace own;
    const std::int64_t v_floats = kPoints * point_stride(conv.channels, size);
    float* v = own.take<float>(v_floats + kPoints * point_stride(padded(conv.outputs), size));
    strip(conv, tiles, first, size, u, x, y, v, v + v_floats);
  });
}

}  // namespace alma
