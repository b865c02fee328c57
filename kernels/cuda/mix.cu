// Mixtures: y = sum over experts of gate * expert, and its backward.
#include "kernels/cuda/launch.h"

#include "kernels/checks/mix.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/reductions.h"

namespace alma {
namespace {

constexpr int kBlock = 256;
constexpr int kMaxExperts = static_cast<int>(check::max_experts);

struct Experts {
  const float* data[kMaxExperts];
};
struct ExpertGradients {
  float* data[kMaxExperts];
};

__device__ float4 scaled_sum(float scale, float4 x, float4 sum) {
  return make_float4(fmaf(scale, x.x, sum.x), fmaf(scale, x.y, sum.y), fmaf(scale, x.z, sum.z), fmaf(scale, x.w, sum.w));
}
__device__ float scaled_sum(float scale, float x, float sum) { return fmaf(scale, x, sum); }

// V is float4 where rows and addresses allow it; n counts Vs in a row.
template <class V>
__global__ void __launch_bounds__(kBlock) mix_kernel(const float* gates, const __grid_constant__ Experts experts, int count,
                                                     float* y, std::int64_t rows, std::int64_t n) {
  constexpr int width = sizeof(V) / sizeof(float);
  for (std::int64_t i = std::int64_t{blockIdx.x} * kBlock + threadIdx.x; i < rows * n;
       i += std::int64_t{gridDim.x} * kBlock) {
    const float* gate = gates + i / n * count;
    V sum{};
    for (int k = 0; k < count; ++k) sum = scaled_sum(load<float>(gate + k), load<V>(experts.data[k] + width * i), sum);
    store<V>(y + width * i, sum);
  }
}

// One team per row reads dy once and each expert once; the dot products of the row with dy stay in registers, `max_count` of
// them, which is why a small mixture has its own instance.
template <int lanes, int max_count>
__global__ void __launch_bounds__(kBlock)
    mix_backward_kernel(const float* gates, Experts experts, int count, const float* dy, float* dgates,
                        ExpertGradients dexperts, std::int64_t rows, std::int64_t n) {
  const std::int64_t row = std::int64_t{blockIdx.x} * (kBlock / lanes) + threadIdx.x / lanes;
  const int lane = threadIdx.x % lanes;
  float dot[max_count] = {};
  if (row < rows) {
    for (std::int64_t c = lane; c < n; c += lanes) {
      const std::int64_t i = row * n + c;
      const float cotangent = load<float>(dy + i);
      ALMA_UNROLL
      for (int k = 0; k < max_count; ++k) {
        if (k >= count) break;
        dot[k] = fmaf(load<float>(experts.data[k] + i), cotangent, dot[k]);
        store<float>(dexperts.data[k] + i, load<float>(gates + row * count + k) * cotangent);
      }
    }
  }
  ALMA_UNROLL
  for (int k = 0; k < max_count; ++k) {
    if (k >= count) break;
    const float sum = team_reduce<lanes>(dot[k], Sum{});
    if (row < rows && lane == 0) store<float>(dgates + row * count + k, sum);
  }
}

}  // namespace

void CudaBackend::mix(const In& gates, std::span<const In> experts, const Out& y) {
  const Entry entry(gpu_, __func__);
  const Observed seen = check::mix(*this, gates, experts, y);
  require_f32("mix", gates);
  const std::int64_t rows = y.shape[0], n = y.shape[1];
  if (rows * n == 0) return;
  Experts all{};
  bool vectors = n % 4 == 0 && aligned16(y.data);
  for (std::size_t k = 0; k < experts.size(); ++k) {
    all.data[k] = experts[k].as<float>();
    vectors = vectors && aligned16(experts[k].data);
  }
  const std::int64_t row_length = vectors ? n / 4 : n;
  launch(vectors ? mix_kernel<float4> : mix_kernel<float>, grid_for(rows * row_length, kBlock), kBlock, 0, stream_,
         gates.as<float>(), all, static_cast<int>(experts.size()), y.as<float>(), rows, row_length);
}

void CudaBackend::mix_backward(const In& gates, std::span<const In> experts, const In& dy, const Out& dgates,
                               std::span<const Out> dexperts) {
  const Entry entry(gpu_, __func__);
  const Observed seen = check::mix_backward(*this, gates, experts, dy, dgates, dexperts);
  require_f32("mix_backward", gates);
  const std::int64_t rows = dy.shape[0], n = dy.shape[1];
  if (rows == 0) return;
  Experts all{};
  ExpertGradients gradients{};
  for (std::size_t k = 0; k < experts.size(); ++k) {
    all.data[k] = experts[k].as<float>();
    gradients.data[k] = dexperts[k].as<float>();
  }
  const int count = static_cast<int>(experts.size());
  const auto start = [&](auto kernel, int lanes) {
    launch(kernel, blocks_for(rows, kBlock / lanes), kBlock, 0, stream_, gates.as<float>(), all, count, dy.as<float>(),
           dgates.as<float>(), gradients, rows, n);
  };
  const bool narrow = n <= 32, few = count <= 4;
  if (narrow) return few ? start(mix_backward_kernel<8, 4>, 8) : start(mix_backward_kernel<8, kMaxExperts>, 8);
  few ? start(mix_backward_kernel<kWarp, 4>, kWarp) : start(mix_backward_kernel<kWarp, kMaxExperts>, kWarp);
}

}  // namespace alma
