#include "kernels/cpu/conv_winograd.h"

#include "kernels/cpu/winograd_tiles.h"

namespace alma {
namespace {

using namespace winograd;
using V = Vector<float>;

constexpr int kOut = 4;                                 // output channels in registers
constexpr int kTiles = kVectorRegisters >= 32 ? 4 : 2;  // and tiles
constexpr std::int64_t kCacheFloats = (512 << 10) / 4;  // of a strip's tiles, transformed and multiplied
constexpr std::int64_t kFewTiles = 32;  // below which transforming kernels, or their gradients, takes too long
constexpr std::int64_t kFewChannels = 8;
constexpr std::int64_t kMostTiles = 32;

/// Tiles that are worked on together.
std::int64_t strip_size(const PlanesConv& conv) {
  const std::int64_t fit = kCacheFloats / (kPoints * kImageLanes * (conv.channels + conv.outputs));
  return std::clamp<std::int64_t>(fit / kTiles, 1, kMostTiles / kTiles) * kTiles;
}

std::int64_t padded(std::int64_t outputs) { return ceil_divide(outputs, kOut) * kOut; }

/// G g G^T of all kernels g, [point][block of outputs][channel][kOut]; those of outputs that are not there are 0.
void transform_kernels(const PlanesConv& conv, float* u) {
  const std::int64_t outputs = padded(conv.outputs), point = outputs * conv.channels;
  const auto along = [](float a, float b, float c, float(&to)[4]) {
    to[0] = a;
    to[1] = 0.5f * (a + b + c);
    to[2] = 0.5f * (a - b + c);
    to[3] = c;
  };
  for (std::int64_t k = 0; k < outputs; ++k)
    for (std::int64_t c = 0; c < conv.channels; ++c) {
      float* to = u + (k / kOut * conv.channels + c) * kOut + k % kOut;
      if (k >= conv.outputs) {
        for (int p = 0; p < kPoints; ++p) to[p * point] = 0;
        continue;
      }
      const float* from = conv.w + (conv.turned ? c * conv.outputs + k : k * conv.channels + c) * 9;
      float g[9], rows[3][4], column[4];
      for (int i = 0; i < 9; ++i) g[i] = from[conv.turned ? 8 - i : i];
      for (int i = 0; i < 3; ++i) along(g[3 * i], g[3 * i + 1], g[3 * i + 2], rows[i]);
      for (int j = 0; j < 4; ++j) {
        along(rows[0][j], rows[1][j], rows[2][j], column);
        for (int i = 0; i < 4; ++i) to[(4 * i + j) * point] = column[i];
      }
    }
}

/// A^T m A of one tile of products m, plus the bias.
inline void transform_products(const float* m, std::int64_t stride, float bias, float* y, std::int64_t row) {
  V sums[2][4];
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    const V a = load_vector(m + j * stride), b = load_vector(m + (4 + j) * stride), c = load_vector(m + (8 + j) * stride),
            d = load_vector(m + (12 + j) * stride);
    sums[0][j] = a + b + c;
    sums[1][j] = b - c - d;
  }
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    store_vector(y + i * row, V(sums[i][0] + sums[i][1] + sums[i][2] + bias));
    store_vector(y + i * row + kImageLanes, V(sums[i][1] - sums[i][2] - sums[i][3] + bias));
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
  const bool left = j == 0, right = 2 * j + 2 == z.w;
  const std::int64_t begin = left ? 0 : 1, end = right ? 4 : 3;
  const auto clear = [&](std::int64_t row, std::int64_t from, std::int64_t to) {
    std::fill_n(corner + row * z.row() + from * kImageLanes, (to - from) * kImageLanes, 0.0f);
  };
  if (i == 0) clear(0, begin, end);
  if (2 * i + 2 == z.h) clear(3, begin, end);
  for (std::int64_t row = 1; row < 3; ++row) {
    if (left) clear(row, 0, 1);
    if (right) clear(row, 3, 4);
  }
}

/// Two elements of two rows into the cache of the core, to read or to write them.
template <int Write>
inline void prefetch_rows(const float* at, std::int64_t row) {
  for (int i = 0; i < 2; ++i)
    for (int j = 0; j < 2; ++j) __builtin_prefetch(at + i * row + j * kImageLanes, Write, 2);
}

/// The tiles first .. first + size - 1, in three passes through the cache.
void strip(const PlanesConv& conv, const Tiles& tiles, std::int64_t first, std::int64_t size, const float* u, const float* x,
           float* y, float* v, float* m) {
  const LaneImages& z = conv.z;
  const std::int64_t count = std::min(size, tiles.count - first), row = size * kImageLanes;
  const std::int64_t v_point = point_stride(conv.channels, size), m_point = point_stride(padded(conv.outputs), size);
  // Channel by channel, so that memory is read and written in long runs.
  std::int64_t from[kMostTiles], to[kMostTiles];
  for (std::int64_t tile = 0; tile < count; ++tile) {
    from[tile] = tiles.offset(z, conv.channels, first + tile);
    to[tile] = tiles.offset(z, conv.outputs, first + tile);
  }
  for (std::int64_t c = 0; c < conv.channels; ++c)
    for (std::int64_t tile = 0; tile < count; ++tile)
      for (std::int64_t lane = 0; lane < kImageLanes; lane += kLanes<float>)
        transform_tile([&, d = x + from[tile] + c * z.plane() + lane](
                           int i, int j) { return load_vector(d + i * z.row() + j * kImageLanes); },
                       v + c * row + tile * kImageLanes + lane, v_point);
  // Memory works while the processor multiplies: with each product it is asked for a tile of the next strip's inputs, of
  // which the two upper rows were read by the tile above, and for the place of a tile of outputs.
  const std::int64_t next = first + size, ahead = std::clamp<std::int64_t>(tiles.count - next, 0, size);
  std::int64_t next_from[kMostTiles], products = 0;
  for (std::int64_t tile = 0; tile < ahead; ++tile) next_from[tile] = tiles.offset(z, conv.channels, next + tile);
  const auto prefetch_one = [&] {
    const std::int64_t plane = products / size, tile = products % size;
    if (plane < conv.channels && tile < ahead)
      prefetch_rows<0>(x + next_from[tile] + plane * z.plane() + z.inside() + z.row(), z.row());
    if (plane < conv.outputs && tile < count) prefetch_rows<1>(y + to[tile] + plane * z.plane() + z.inside(), z.row());
    ++products;
  };
  for (int p = 0; p < kPoints; ++p)
    for (std::int64_t k = 0; k < conv.outputs; k += kOut)
      for (std::int64_t tile = 0; tile < count; tile += kTiles) {
        prefetch_one();
        for (std::int64_t lane = 0; lane < kImageLanes; lane += kLanes<float>)
          multiply(u + (p * padded(conv.outputs) + k) * conv.channels, v + p * v_point + tile * kImageLanes + lane,
                   conv.channels, row, m + p * m_point + k * row + tile * kImageLanes + lane);
      }
  for (std::int64_t k = 0; k < conv.outputs; ++k)
    for (std::int64_t tile = 0; tile < count; ++tile) {
      float* corner = y + to[tile] + k * z.plane();
      for (std::int64_t lane = 0; lane < kImageLanes; lane += kLanes<float>)
        transform_products(m + k * row + tile * kImageLanes + lane, m_point, conv.bias == nullptr ? 0 : conv.bias[k],
                           corner + z.inside() + lane, z.row());
      clear_beside(z, tiles.row(first + tile), tiles.column(first + tile), corner);
    }
}

}  // namespace

bool has_winograd(const LaneImages& z, std::int64_t channels, std::int64_t outputs) {
  return z.h % 2 == 0 && z.w % 2 == 0 && channels >= kFewChannels && outputs >= kFewChannels && Tiles(z).count >= kFewTiles;
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
