// Dropout: one Philox block decides on four elements, which lie in two of them where the first number is no multiple of
// four.
#include "kernels/dropout.h"

#include "kernels/cuda/launch.h"

#include "kernels/checks/dropout.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/pack.h"

namespace alma {
namespace {

constexpr int kBlock = 256;

struct Dropout {
  const float* x;
  float* y;
  std::int64_t count;
  Philox philox;
  std::uint64_t first_block;
  int shift;  // element i is word (shift + i) % 4 of block first_block + (shift + i) / 4
  const StepState* state;
  std::uint32_t dropped;
  float scale;
  bool aligned;
};

template <bool shifted>
__device__ PhiloxWords bits_of(const Dropout& d, std::int64_t four, std::uint64_t step) {
  const std::uint64_t block = d.first_block + static_cast<std::uint64_t>(four);
  PhiloxWords bits = d.philox.at(block, step);
  if constexpr (shifted) {
    const PhiloxWords next = d.philox.at(block + 1, step);
    const std::uint32_t both[8] = {bits.words[0], bits.words[1], bits.words[2], bits.words[3],
                                   next.words[0], next.words[1], next.words[2], next.words[3]};
    // Constant places in the array, so that it stays in registers.
    ALMA_UNROLL
    for (int k = 0; k < kPack; ++k) bits.words[k] = d.shift == 1 ? both[k + 1] : d.shift == 2 ? both[k + 2] : both[k + 3];
  }
  return bits;
}

template <bool shifted>
__global__ void __launch_bounds__(kBlock) dropout_kernel(Dropout d) {
  const auto step = static_cast<std::uint64_t>(load<StepState>(d.state).step);
  const std::int64_t stride = std::int64_t{gridDim.x} * kBlock;
  for (std::int64_t four = std::int64_t{blockIdx.x} * kBlock + threadIdx.x; kPack * four < d.count; four += stride) {
    const PhiloxWords bits = bits_of<shifted>(d, four, step);
    const std::int64_t first = kPack * four, left = d.count - first;
    Pack<kPack> x = load_pack(d.x + first, left, d.aligned);
    ALMA_UNROLL
    for (int k = 0; k < kPack; ++k) x.v[k] = bits.words[k] >= d.dropped ? x.v[k] * d.scale : 0.0f;
    store_pack(d.y + first, x, left, d.aligned);
  }
}

}  // namespace

void CudaBackend::dropout(const In& x, double probability, const RandomPlace& place, const Out& y) {
  const Entry entry(gpu_, __func__);
  const Observed seen = check::dropout(*this, x, probability, place, y);
  require_f32("dropout", x);
  const std::int64_t count = x.shape.count();
  if (count == 0) return;
  const Dropout d{x.as<float>(),
                  y.as<float>(),
                  count,
                  Philox::of(place.key),
                  static_cast<std::uint64_t>(place.first) / kPack,
                  static_cast<int>(place.first % kPack),
                  place.state,
                  dropout_threshold(probability),
                  static_cast<float>(1 / (1 - probability)),
                  aligned16(x.data) && aligned16(y.data)};
  launch(d.shift != 0 ? dropout_kernel<true> : dropout_kernel<false>, grid_for(blocks_for(count, kPack), kBlock), kBlock, 0,
         stream_, d);
}

}  // namespace alma
