// Dropout: one Philox call decides on four elements.
#include "kernels/dropout.h"

#include "kernels/cuda/launch.h"

#include "kernels/checks.h"
#include "kernels/cuda/backend.h"
#include "kernels/cuda/four.h"

namespace alma {
namespace {

constexpr int kBlock = 256;

struct Dropout {
  const float* x;
  float* y;
  std::int64_t count;
  Philox philox;
  const StepState* state;
  std::uint32_t dropped;
  float scale;
};

__device__ __forceinline__ float kept(float x, std::uint32_t bits, const Dropout& d) {
  return bits >= d.dropped ? x * d.scale : 0.0f;
}

template <bool vectors>
__global__ void __launch_bounds__(kBlock) dropout_kernel(Dropout d) {
  const auto step = static_cast<std::uint64_t>(load<StepState>(d.state).step);
  const std::int64_t stride = std::int64_t{gridDim.x} * kBlock;
  for (std::int64_t four = std::int64_t{blockIdx.x} * kBlock + threadIdx.x; kFour * four < d.count; four += stride) {
    const auto bits = d.philox.at(static_cast<std::uint64_t>(four), step);
    const std::int64_t first = kFour * four;
    const float4 x = load_four<vectors>(d.x + first, d.count - first);
    store_four<vectors>(d.y + first,
                        {kept(x.x, bits[0], d), kept(x.y, bits[1], d), kept(x.z, bits[2], d), kept(x.w, bits[3], d)},
                        d.count - first);
  }
}

}  // namespace

void CudaBackend::dropout(const In& x, double probability, const RandomPlace& place, const Out& y) {
  check::dropout(x, probability, place, y);
  require_f32("dropout", x);
  const std::int64_t count = x.shape.count();
  if (count == 0) return;
  const Dropout d{x.as<float>(),
                  y.as<float>(),
                  count,
                  Philox::of(place.key),
                  place.state,
                  dropout_threshold(probability),
                  static_cast<float>(1 / (1 - probability))};
  const auto kernel = aligned16(x.data) && aligned16(y.data) ? dropout_kernel<true> : dropout_kernel<false>;
  launch(kernel, grid_for(blocks_for(count, kFour), kBlock), kBlock, 0, stream_, d);
}

}  // namespace alma
