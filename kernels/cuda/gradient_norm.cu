// The norm of all gradients together: a sum of squares per block, then one block adds these in a fixed order.
#include "kernels/cuda/launch.h"

#include <vector>

#include "kernels/checks.h"
#include "kernels/cuda/backend.h"
#include "kernels/cuda/four.h"
#include "kernels/cuda/reductions.h"
#include "kernels/cuda/tensor_table.h"

namespace alma {
namespace {

constexpr int kBlock = 128, kBlockElements = 4096;
constexpr int kLastBlock = 512;

struct Gradient {
  const float* data;
  std::int64_t size;
};

template <bool vectors>
__device__ float sum_of_squares(const float* data, std::int64_t begin, std::int64_t end) {
  float sum = 0;
  for (std::int64_t i = begin + kFour * threadIdx.x; i < end; i += kFour * kBlock) {
    const float4 g = load_four<vectors>(data + i, end - i);
    sum = dot_four(g, g, sum);
  }
  return sum;
}

__global__ void __launch_bounds__(kBlock) squares_kernel(TensorTable<Gradient> table, float* sums) {
  const auto [tensor, begin, end] = part_of<kBlockElements>(table, static_cast<int>(blockIdx.x));
  const float* data = table.tensors[tensor].data;
  const bool vectors = reinterpret_cast<std::uintptr_t>(data) % sizeof(float4) == 0;
  float sum = vectors ? sum_of_squares<true>(data, begin, end) : sum_of_squares<false>(data, begin, end);
  sum = team_reduce<kBlock>(sum, Sum{});
  if (threadIdx.x == 0) store<float>(sums + blockIdx.x, sum);
}

__global__ void __launch_bounds__(kLastBlock) norm_kernel(const float* sums, int count, float* norm) {
  float sum = 0;
  for (int i = threadIdx.x; i < count; i += kLastBlock) sum += load<float>(sums + i);
  sum = team_reduce<kLastBlock>(sum, Sum{});
  if (threadIdx.x == 0) store<float>(norm, sqrtf(sum));
}

}  // namespace

void CudaBackend::gradient_norm(std::span<const In> gradients, const Out& norm) {
  check::gradient_norm(gradients, norm);
  require_f32("gradient_norm", norm);
  std::vector<Gradient> all;
  std::int64_t blocks_of_all = 0;
  for (const In& gradient : gradients) {
    all.push_back({gradient.as<float>(), gradient.shape.count()});
    blocks_of_all += blocks_for(all.back().size, kBlockElements);
  }
  float* const sums = scratch(blocks_of_all);
  int done = 0;
  in_tables<kBlockElements, Gradient>(all, [&](const TensorTable<Gradient>& table, int blocks) {
    launch(squares_kernel, blocks, kBlock, 0, stream_, table, sums + done);
    done += blocks;
  });
  launch(norm_kernel, 1, kLastBlock, 0, stream_, sums, done, norm.as<float>());
}

}  // namespace alma
