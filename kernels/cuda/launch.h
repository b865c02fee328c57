#pragma once
// What every .cu file includes first, and the only place where nvcc and the simulator part: how a kernel starts, how it
// touches memory (load, store) and how it declares shared memory.
#if defined(__CUDACC__)
#include <cuda_runtime.h>

#include <cstddef>
#include <type_traits>

#include "kernels/cuda/checked.h"
#include "kernels/cuda/grid.h"

#define ALMA_UNROLL _Pragma("unroll")
// A shared array, `ALMA_SHARED(float, tile, [2][16][68])`.
#define ALMA_SHARED(T, name, extent) __shared__ T name extent
// The shared memory whose size the launch gives.
#define ALMA_DYNAMIC_SHARED(T, name)                              \
  extern __shared__ __align__(16) unsigned char dynamic_shared[]; \
  T* name = reinterpret_cast<T*>(dynamic_shared)

namespace alma {

/// Starts a kernel on the stream. Throws Error if the launch is refused.
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), Grid grid, dim3 block, std::size_t shared_bytes, cudaStream_t stream,
            Arguments&&... arguments) {
  static_assert(sizeof...(Parameters) == sizeof...(Arguments), "as many arguments as the kernel has parameters");
  cudaLaunchConfig_t configuration{};
  configuration.gridDim = grid.blocks;
  configuration.blockDim = block;
  configuration.dynamicSmemBytes = shared_bytes;
  configuration.stream = stream;
  // The conversions to the kernel's parameter types happen in the call of this function.
  const auto start = [&](Parameters... parameters) {
    void* pointers[] = {static_cast<void*>(&parameters)..., nullptr};
    return cudaLaunchKernelExC(&configuration, reinterpret_cast<const void*>(kernel), pointers);
  };
  check_status(start(static_cast<Arguments&&>(arguments)...), "launch", grid.site);
}

/// Reads a V at p, which must be aligned for it: load<float>(x + i), load<float4>(x + 4 * i).
template <class V, class T>
__device__ __forceinline__ V load(const T* p) {
  return *reinterpret_cast<const V*>(p);
}
/// Writes a V at p: store<float4>(y + 4 * i, v).
template <class V, class T>
__device__ __forceinline__ void store(T* p, const std::type_identity_t<V>& value) {
  *reinterpret_cast<V*>(p) = value;
}

}  // namespace alma
#else
#include "kernels/sim/simt.h"
#endif
