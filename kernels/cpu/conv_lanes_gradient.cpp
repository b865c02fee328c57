// The weight gradient of a convolution of images in lanes16: sums over all elements of products of x and dy, kept per lane
// in registers and added over the lanes at the end of a band of rows.
#include <vector>

#include "kernels/cpu/conv_lanes.h"
#include "kernels/cpu/conv_winograd.h"

namespace alma {
namespace {

using V = Vector<float>;

constexpr int kOut = 4;                              // channels of dy in registers,
constexpr int kIn = kVectorRegisters >= 32 ? 2 : 1;  // channels of x
constexpr std::int64_t kGroup = 16;                  // channels of x that stay in the cache with a band of dy
constexpr std::int64_t kCacheBytes = 640 << 10;
constexpr std::int64_t kFewElements = 64;  // per lane, below which adding up the lanes takes too large a share

/// Some blocks of images, and the rows begin to end of each.
struct Band {
  std::int64_t first_block, end_block, begin, end;
};

/// Sums for kOut channels of dy, kIn of x and one row of a kernel: [kIn][Taps][kOut], and zeros up to whole vectors.
template <int Taps>
constexpr int kTileSums = (kOut * kIn * Taps + kLanes<float> - 1) / kLanes<float>* kLanes<float>;

struct Gradient {
  LaneImages x, dy;
  const float *from_x, *from_dy;

  std::int64_t out_blocks() const { return ceil_divide(dy.c, kOut); }
  std::int64_t in_blocks() const { return ceil_divide(x.c, kIn); }
  template <int Taps>
  std::int64_t sums() const {
    return out_blocks() * in_blocks() * Taps * kTileSums<Taps>;
  }
};

/// Adds `Parts` parts of the lanes of one block, of which all lanes count, or the first `count`. x is the element under the
/// first tap of the first output, in channel 0 of `In`; channel k of dy is at dy + at[k].
template <int Taps, int In, int Parts, class Load>
__attribute__((always_inline)) inline void add_parts(V (&sum)[In * Taps][kOut], const float* x, std::int64_t x_plane,
                                                     const float* dy, const std::int64_t (&at)[kOut], std::int64_t row,
                                                     std::int64_t rows, std::int64_t columns, const Load& load) {
  for (std::int64_t i = 0; i < rows; ++i, x += row, dy += row)
    for (std::int64_t j = 0; j < columns; ++j)
#pragma GCC unroll 4
      for (std::int64_t part = 0; part < Parts; ++part) {  // inside, so that a line of the cache is read at once
        const std::int64_t element = j * kImageLanes + part * kLanes<float>;
        V values[In * Taps];
#pragma GCC unroll 8
        for (int t = 0; t < In * Taps; ++t) values[t] = load(x + t / Taps * x_plane + t % Taps * kImageLanes + element);
#pragma GCC unroll 8
        for (int k = 0; k < kOut; ++k) {
          const V slope = load(dy + at[k] + element);
#pragma GCC unroll 8
          for (int t = 0; t < In * Taps; ++t) sum[t][k] += values[t] * slope;
        }
      }
}

/// Adds the sums of a band for kernel row r, output channels from k on and In input channels from c on to total. `Whole`:
/// all lanes of all blocks count.
template <int Taps, int In, bool Whole>
void tile(const Gradient& g, const Band& band, std::int64_t r, std::int64_t k, std::int64_t c, float* total) {
  V sum[In * Taps][kOut] = {};
  std::int64_t at[kOut];
  // Channels beyond the last are it again; nobody reads their sums.
  for (int i = 0; i < kOut; ++i) at[i] = std::min<std::int64_t>(k + i, g.dy.c - 1) * g.dy.plane() + g.dy.inside();
  const std::int64_t row = g.x.row(), first = band.begin * row, start = (Taps == 1 ? g.x.inside() : r * row) + first;
  const std::int64_t rows = band.end - band.begin;
  for (std::int64_t block = band.first_block; block < band.end_block; ++block) {
    const float* x = g.from_x + block * g.x.block() + c * g.x.plane() + start;
    const float* dy = g.from_dy + block * g.dy.block() + first;
    const std::int64_t lanes = g.x.lanes(block);
    if (Whole || lanes == kImageLanes) {
      add_parts<Taps, In, kLaneParts>(sum, x, g.x.plane(), dy, at, row, rows, g.x.w, load_vector<float>);
      continue;
    }
    for (int part = 0; part < kLaneParts; ++part)
      if (const std::int64_t count = lanes_of_part(lanes, part); count > 0)
        add_parts<Taps, In, 1>(sum, x + part * kLanes<float>, g.x.plane(), dy + part * kLanes<float>, at, row, rows, g.x.w,
                               [=](const float* source) { return load_part(source, count); });
  }
  constexpr int n = kLanes<float>;
#pragma GCC unroll 16
  for (int vector = 0; vector * n < In * Taps * kOut; ++vector) {
    V lanes[n];
#pragma GCC unroll 16
    for (int i = 0; i < n; ++i)
      lanes[i] = vector * n + i < In * Taps * kOut ? sum[(vector * n + i) / kOut][(vector * n + i) % kOut] : V{};
    store_vector(total + vector * n, load_vector(total + vector * n) + sum_each<float>(lanes));
  }
}

/// Adds all sums of a band.
template <int Taps, bool Whole>
void add_band(const Gradient& g, const Band& band, float* sums) {
  for (std::int64_t group = 0; group < g.x.c; group += kGroup)
    for (std::int64_t k = 0; k < g.dy.c; k += kOut)
      for (std::int64_t c = group; c < std::min(g.x.c, group + kGroup); c += kIn)
        for (std::int64_t r = 0; r < Taps; ++r) {
          float* total = sums + ((k / kOut * g.in_blocks() + c / kIn) * Taps + r) * kTileSums<Taps>;
          if (c + kIn <= g.x.c) {
            tile<Taps, kIn, Whole>(g, band, r, k, c, total);
          } else {
            tile<Taps, 1, Whole>(g, band, r, k, c, total);
          }
        }
}

/// Adds the sums of dy of a band, per channel.
void add_bias(const Gradient& g, const Band& band, double* sums) {
  for (std::int64_t block = band.first_block; block < band.end_block; ++block)
    for (std::int64_t k = 0; k < g.dy.c; ++k) {
      double sum[1] = {};
      add_rows(g.dy, (block * g.dy.c + k) * g.dy.plane(), band.begin, band.end, g.dy.lanes(block), sum,
               [&](std::int64_t at, V(&of)[1]) { of[0] += load_vector(g.from_dy + at); });
      sums[k] += sum[0];
    }
}

/// Rows whose dy, and kGroup channels of x, fit into the cache.
std::int64_t rows_of_band(const Gradient& g, std::int64_t blocks) {
  const std::int64_t rows = kCacheBytes / (blocks * g.x.row() * static_cast<std::int64_t>(sizeof(float)));
  const std::int64_t group = std::min(g.x.c, kGroup);
  return std::clamp<std::int64_t>((rows - 2 * group) / (g.dy.c + group), 1, g.x.h);
}

// Chunks of blocks have sums of their own, added in order at the end: the same bits for any number of threads.
template <int Taps>
void weight_gradient(ThreadPool* pool, Workspace& workspace, const Gradient& g, float* dw, float* dbias) {
  const std::int64_t together = std::min(g.x.blocks(), ceil_divide(kFewElements, g.x.h * g.x.w));
  const std::int64_t chunks = ceil_divide(g.x.blocks(), together), sums = g.sums<Taps>();
  const std::int64_t band = rows_of_band(g, together), outputs = g.dy.c;
  double* bias_sums = workspace.take<double>(chunks * (outputs + ceil_divide(sums, 2)));
  auto* partial = reinterpret_cast<float*>(bias_sums + chunks * outputs);
  const double nanoseconds = 0.3 * static_cast<double>(Taps * Taps * g.x.c * outputs * g.x.h * g.x.w);
  for_pieces(pool, g.x.blocks(), together, nanoseconds, [&](std::int64_t begin, std::int64_t end) {
    float* own = partial + begin / together * sums;
    double* own_bias = bias_sums + begin / together * outputs;
    std::fill_n(own, sums, 0.0f);
    std::fill_n(own_bias, outputs, 0.0);
    // Where a mask is a register like any other, a block that is not whole has a function of its own: the loads of the other
    // blocks would lack that register.
    const std::int64_t whole_blocks = std::min(end, g.x.n / kImageLanes);
    const std::int64_t whole = kLaneParts > 1 || whole_blocks == end ? whole_blocks : begin;
    for (std::int64_t row = 0; row < g.x.h; row += band) {
      const std::int64_t last = std::min(g.x.h, row + band);
      if (dbias != nullptr) add_bias(g, {begin, end, row, last}, own_bias);
      if (begin < whole) add_band<Taps, true>(g, {begin, whole, row, last}, own);
      if (whole < end) add_band<Taps, false>(g, {whole, end, row, last}, own);
    }
  });
  for (std::int64_t k = 0; k < outputs; ++k)
    for (std::int64_t c = 0; c < g.x.c; ++c)
      for (std::int64_t tap = 0; tap < Taps * Taps; ++tap) {
        const std::int64_t tile = (k / kOut * g.in_blocks() + c / kIn) * Taps + tap / Taps;
        const std::int64_t at = tile * kTileSums<Taps> + (c % kIn * Taps + tap % Taps) * kOut + k % kOut;
        double sum = 0;
        for (std::int64_t chunk = 0; chunk < chunks; ++chunk) sum += partial[chunk * sums + at];
        dw[(k * g.x.c + c) * Taps * Taps + tap] = static_cast<float>(sum);
      }
  if (dbias != nullptr) add_chunks(bias_sums, chunks, outputs, dbias);
}

}  // namespace

void conv_lanes_weight_gradient(ThreadPool* pool, Workspace& workspace, const In& x, const In& dy, const Out& dw,
                                const Out& dbias) {
  const Gradient g{LaneImages(x.shape), LaneImages(dy.shape), x.as<float>(), dy.as<float>()};
  if (dy.shape.count() == 0 || dw.shape.count() == 0) {
    // Of no images the sums are 0; without channels of x there still are those of dy.
    std::fill_n(dw.as<float>(), dw.shape.count(), 0.0f);
    if (dbias) {
      std::vector<double> sums(static_cast<std::size_t>(g.dy.c), 0.0);
      if (dy.shape.count() > 0) add_bias(g, {0, g.dy.blocks(), 0, g.dy.h}, sums.data());
      std::copy(sums.begin(), sums.end(), dbias.as<float>());
    }
    return;
  }
  if (dw.shape[2] == 3 && has_winograd(g.x, g.x.c, g.dy.c))
    return gradient_winograd(pool, workspace, g.x, g.dy.c, g.from_x, g.from_dy, dw.as<float>(), dbias.as<float>());
  const auto run = dw.shape[2] == 1 ? weight_gradient<1> : weight_gradient<3>;
  run(pool, workspace, g, dw.as<float>(), dbias.as<float>());
}

}  // namespace alma
