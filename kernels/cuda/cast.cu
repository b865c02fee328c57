// Conversions between f32 and bf16: four elements per thread, so that the lanes of a warp lie side by side on both sides.
#include "kernels/cuda/launch.h"

#include <cuda_bf16.h>

#include "kernels/checks/conversions.h"
#include "kernels/cuda/cuda_backend.h"

namespace alma {
namespace {

constexpr int kBlock = 256;
constexpr int kGroup = 4;

// Two bf16 in a word, the first in the lower half.
__device__ unsigned pack(float first, float second) {
  return static_cast<unsigned>(__bfloat16_as_ushort(__float2bfloat16_rn(first))) |
         static_cast<unsigned>(__bfloat16_as_ushort(__float2bfloat16_rn(second))) << 16;
}
__device__ float widen(unsigned bits) { return __int_as_float(static_cast<int>(bits << 16)); }
__device__ float first_of(unsigned pair) { return widen(pair & 0xffff); }
__device__ float second_of(unsigned pair) { return widen(pair >> 16); }

// The first `groups` groups by accesses of 16 bytes of f32 and 8 of bf16, what is left one by one.
__global__ void __launch_bounds__(kBlock)
    narrow_kernel(const float* x, std::uint16_t* y, std::int64_t n, std::int64_t groups) {
  const std::int64_t thread = std::int64_t{blockIdx.x} * kBlock + threadIdx.x, threads = std::int64_t{gridDim.x} * kBlock;
  for (std::int64_t i = thread; i < groups; i += threads) {
    const float4 v = load<float4>(x + kGroup * i);
    store<uint2>(y + kGroup * i, make_uint2(pack(v.x, v.y), pack(v.z, v.w)));
  }
  for (std::int64_t i = kGroup * groups + thread; i < n; i += threads)
    store<std::uint16_t>(y + i, __bfloat16_as_ushort(__float2bfloat16_rn(load<float>(x + i))));
}

__global__ void __launch_bounds__(kBlock)
    widen_kernel(const std::uint16_t* x, float* y, std::int64_t n, std::int64_t groups) {
  const std::int64_t thread = std::int64_t{blockIdx.x} * kBlock + threadIdx.x, threads = std::int64_t{gridDim.x} * kBlock;
  for (std::int64_t i = thread; i < groups; i += threads) {
    const uint2 v = load<uint2>(x + kGroup * i);
    store<float4>(y + kGroup * i, make_float4(first_of(v.x), second_of(v.x), first_of(v.y), second_of(v.y)));
  }
  for (std::int64_t i = kGroup * groups + thread; i < n; i += threads)
    store<float>(y + i, widen(load<std::uint16_t>(x + i)));
}

}  // namespace

void CudaBackend::cast(const In& x, const Out& y) {
  const Entry entry(gpu_, __func__);
  const Observed seen = check::cast(*this, x, y);
  const bool narrow = x.dtype == DType::f32 && y.dtype == DType::bf16;
  if (!narrow && !(x.dtype == DType::bf16 && y.dtype == DType::f32))
    fail("[cast] cuda casts f32 to bf16 and back, got ", x.dtype, " to ", y.dtype);
  const std::int64_t n = x.shape.count();
  if (n == 0) return;
  const std::int64_t groups = aligned16(x.data) && aligned16(y.data) ? n / kGroup : 0;
  const std::int64_t grid = grid_for(groups > 0 ? groups : n, kBlock);
  if (narrow) {
    launch(narrow_kernel, grid, kBlock, 0, stream_, x.as<float>(), y.as<std::uint16_t>(), n, groups);
  } else {
    launch(widen_kernel, grid, kBlock, 0, stream_, x.as<std::uint16_t>(), y.as<float>(), n, groups);
  }
}

}  // namespace alma
