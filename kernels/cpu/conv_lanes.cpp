// Direct convolution of images in lanes16: a vector holds one element of 16 images, so that any width and any number of
// channels vectorise alike and the halo needs no special case.
#include "kernels/cpu/conv_lanes.h"

#include "kernels/cpu/conv_winograd.h"

namespace alma {
namespace {

constexpr int kOut = 4;                                   // output channels in registers
constexpr int kColumns = kVectorRegisters >= 32 ? 6 : 2;  // and columns

/// A convolution of `channels` planes to `outputs` planes, both of the sizes of `z`.
struct Direct {
  LaneImages z;  // c is not used
  std::int64_t channels, outputs;
  const float* weights;  // packed
  const float* bias;     // [outputs] padded to kOut, or null
};

/// Blocks of kOut output channels, [channels][taps][kOut] each; channels that are not there have weights 0.
void pack_weights(const float* w, std::int64_t outputs, std::int64_t channels, std::int64_t taps, bool transposed,
                  float* packed) {
  for (std::int64_t first = 0; first < outputs; first += kOut)
    for (std::int64_t c = 0; c < channels; ++c)
      for (std::int64_t tap = 0; tap < taps; ++tap)
        for (std::int64_t k = first; k < first + kOut; ++k) {
          const std::int64_t at = transposed ? (c * outputs + k) * taps + taps - 1 - tap : (k * channels + c) * taps + tap;
          *packed++ = k < outputs ? w[at] : 0.0f;
        }
}

/// Rows x Columns neighbouring elements of `count` <= kOut output channels: a sum over all channels and taps. x is the
/// element under the first tap of the first output.
template <int Taps, int Rows, int Columns>
void tile(const Direct& d, const float* x, const float* weights, const float* bias, std::int64_t count, float* y) {
  using V = Vector<float>;
  const std::int64_t row = d.z.row(), plane = d.z.plane();
  for (int part = 0; part < kLaneParts; ++part, x += kLanes<float>, y += kLanes<float>) {
    V sum[kOut][Rows * Columns];
#pragma GCC unroll 32
    for (int k = 0; k < kOut; ++k)
#pragma GCC unroll 32
      for (int i = 0; i < Rows * Columns; ++i) sum[k][i] = V{} + (bias == nullptr ? 0.0f : bias[k]);
    const float* from = x;
    const float* factors = weights;
    for (std::int64_t c = 0; c < d.channels; ++c, from += plane) {
#pragma GCC unroll 1
      for (int r = 0; r < Taps; ++r) {
#pragma GCC unroll 1
        for (int s = 0; s < Taps; ++s, factors += kOut) {
#pragma GCC unroll 32
          for (int i = 0; i < Rows * Columns; ++i) {
            const V value = load_vector(from + (i / Columns + r) * row + (i % Columns + s) * kImageLanes);
#pragma GCC unroll 32
            for (int k = 0; k < kOut; ++k) sum[k][i] += value * factors[k];
          }
        }
      }
    }
    for (int k = 0; k < count; ++k)
#pragma GCC unroll 32
      for (int i = 0; i < Rows * Columns; ++i)
        store_vector(y + k * plane + (i / Columns) * row + (i % Columns) * kImageLanes, sum[k][i]);
  }
}

/// All output channels of Rows rows from row `i` on.
template <int Taps, int Rows>
void tiles(const Direct& d, const float* x, float* y) {
  const auto step = [&]<int Columns>(std::int64_t column) {
    const std::int64_t at = column * kImageLanes;
    for (std::int64_t k = 0; k < d.outputs; k += kOut)
      tile<Taps, Rows, Columns>(d, x + at, d.weights + k * d.channels * Taps * Taps,
                                d.bias == nullptr ? nullptr : d.bias + k, std::min<std::int64_t>(kOut, d.outputs - k),
                                y + k * d.z.plane() + at);
  };
  std::int64_t column = 0;
  // Two columns alone keep the multipliers less busy than four: 8 are 4 and 4, not 6 and 2.
  if constexpr (Rows == 1)
    for (; column + kColumns <= d.z.w && column + 8 != d.z.w; column += kColumns) step.template operator()<kColumns>(column);
  if constexpr (Rows == 1 && kColumns > 4)
    for (; column + 4 <= d.z.w; column += 4) step.template operator()<4>(column);
  for (; column + 2 <= d.z.w; column += 2) step.template operator()<2>(column);
  for (; column < d.z.w; ++column) step.template operator()<1>(column);
}

template <int Taps>
void convolve(ThreadPool* pool, const Direct& d, const float* x, float* y) {
  const LaneImages& z = d.z;
  // Rows of one block share what is in the cache; a piece has enough of them to be worth a thread's while.
  const double nanoseconds = 0.3 * static_cast<double>(z.w * d.channels * d.outputs * Taps * Taps);
  const std::int64_t band = std::clamp<std::int64_t>(static_cast<std::int64_t>(50'000 / (nanoseconds + 1)), 1, z.h);
  const std::int64_t bands = ceil_divide(z.h, band);
  for_pieces(pool, z.blocks() * bands, 1, nanoseconds * static_cast<double>(band), [&](std::int64_t piece, std::int64_t) {
    const std::int64_t block = piece / bands, begin = piece % bands * band, end = std::min(z.h, begin + band);
    // A kernel of one tap starts at the element itself, one of 3 x 3 in the halo.
    const float* from = x + block * d.channels * z.plane() + (Taps == 1 ? z.inside() : 0);
    float* to = y + block * d.outputs * z.plane();
    std::int64_t i = begin;
    if (kColumns > 2 && z.w < 4)  // too few columns to keep the multipliers busy
      for (; i + 2 <= end; i += 2) tiles<Taps, 2>(d, from + i * z.row(), to + z.inside() + i * z.row());
    for (; i < end; ++i) tiles<Taps, 1>(d, from + i * z.row(), to + z.inside() + i * z.row());
    for (std::int64_t k = 0; k < d.outputs; ++k) clear_halo(z, begin, end, to + k * z.plane());
  });
}

void run(ThreadPool* pool, Workspace& workspace, const In& x, const In& w, bool transposed, const In& bias, const Out& y) {
  const std::int64_t channels = x.shape[1], outputs = y.shape[1], taps = w.shape[2] * w.shape[3];
  if (y.shape.count() == 0) return;
  const PlanesConv conv{LaneImages(y.shape), channels, outputs, w.as<float>(), transposed, bias.as<float>()};
  if (taps == 9 && has_winograd(conv.z, channels, outputs))
    return conv_winograd(pool, workspace, conv, x.as<float>(), y.as<float>());
  const std::int64_t padded = ceil_divide(outputs, kOut) * kOut;
  float* packed = workspace.take<float>(padded * channels * taps + padded);
  pack_weights(w.as<float>(), outputs, channels, taps, transposed, packed);
  float* shifts = nullptr;
  if (bias) {
    shifts = packed + padded * channels * taps;
    std::fill(std::copy_n(bias.as<float>(), outputs, shifts), shifts + padded, 0.0f);
  }
  const Direct d{LaneImages(y.shape), channels, outputs, packed, shifts};
  const float* from = channels == 0 ? packed : x.as<float>();  // never read then
  taps == 1 ? convolve<1>(pool, d, from, y.as<float>()) : convolve<3>(pool, d, from, y.as<float>());
}

}  // namespace

void conv_lanes(ThreadPool* pool, Workspace& workspace, const In& x, const In& w, const In& bias, const Out& y) {
  run(pool, workspace, x, w, false, bias, y);
}

// The convolution of dy with each kernel turned by 180 degrees, and inputs and outputs exchanged.
void conv_lanes_data_gradient(ThreadPool* pool, Workspace& workspace, const In& dy, const In& w, const Out& dx) {
  run(pool, workspace, dy, w, true, {}, dx);
}

}  // namespace alma
