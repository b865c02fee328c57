// The norm of all gradients together: a sum of squares per block, then one block adds these in a fixed order.
#include "kernels/cuda/launch.h"

#include <vector>

#include "kernels/checks/optimizer.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/pack.h"
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

__global__ void __launch_bounds__(kBlock) squares_kernel(TensorTable<Gradient> table, float* sums) {
  const auto [tensor, begin, end] = part_of<kBlockElements>(table, static_cast<int>(blockIdx.x));
  const float* data = table.tensors[tensor].data;
  const bool aligned = reinterpret_cast<std::uintptr_t>(data) % sizeof(float4) == 0;
  float sum = 0;
  for (std::int64_t i = begin + kPack * threadIdx.x; i < end; i += kPack * kBlock) {
    const Pack<kPack> g = load_pack(data + i, end - i, aligned);
    sum = add_product(g, g, sum);
  }
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
  const Entry entry(gpu_, __func__);
  const Observed seen = check::gradient_norm(*this, gradients, norm);
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
