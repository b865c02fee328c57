// Dropout: one Philox call decides on four elements.
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
  const StepState* state;
  std::uint32_t dropped;
  float scale;
  bool aligned;
};

__global__ void __launch_bounds__(kBlock) dropout_kernel(Dropout d) {
  const auto step = static_cast<std::uint64_t>(load<StepState>(d.state).step);
  const std::int64_t stride = std::int64_t{gridDim.x} * kBlock;
  for (std::int64_t four = std::int64_t{blockIdx.x} * kBlock + threadIdx.x; kPack * four < d.count; four += stride) {
    const PhiloxWords bits = d.philox.at(static_cast<std::uint64_t>(four), step);
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
                  place.state,
                  dropout_threshold(probability),
                  static_cast<float>(1 / (1 - probability)),
                  aligned16(x.data) && aligned16(y.data)};
  launch(dropout_kernel, grid_for(blocks_for(count, kPack), kBlock), kBlock, 0, stream_, d);
}

}  // namespace alma
