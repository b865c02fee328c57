#pragma once
// Reductions within a team of threads: 1 to 32 neighbouring lanes of a warp (a power of two), or a whole block. Included
// after launch.h. The order of the combinations depends on the size of the team alone, so results are the same bits in
// every run. All lanes of the warp (all threads of the block) must call, also those that have nothing to add.

namespace alma {

inline constexpr unsigned kAllLanes = 0xffffffffu;
inline constexpr int kWarp = 32;

struct Sum {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};

struct Max {
  __device__ float operator()(float a, float b) const { return fmaxf(a, b); }
};

/// A candidate for the largest element of a row.
struct Best {
  float value;
  int index;
};
/// The larger one; ties go to the lower index, NaN loses.
struct Better {
  __device__ Best operator()(Best a, Best b) const {
    return b.value > a.value || (b.value == a.value && b.index < a.index) ? b : a;
  }
};
/// What every element of a row beats.
__device__ __forceinline__ Best no_best() { return {-INFINITY, 0x7fffffff}; }

__device__ __forceinline__ float from_partner(float value, int distance) {
  return __shfl_xor_sync(kAllLanes, value, distance);
}
__device__ __forceinline__ int from_partner(int value, int distance) { return __shfl_xor_sync(kAllLanes, value, distance); }
__device__ __forceinline__ Best from_partner(Best best, int distance) {
  return {from_partner(best.value, distance), from_partner(best.index, distance)};
}

template <int lanes, class Combine, class T>
__device__ __forceinline__ T warp_reduce(T value, Combine combine) {
  ALMA_UNROLL
  for (int distance = lanes / 2; distance > 0; distance /= 2) value = combine(value, from_partner(value, distance));
  return value;
}
// Integers have an instruction of their own.
template <int lanes>
__device__ __forceinline__ int warp_reduce(int value, Sum) {
  static_assert(lanes == kWarp);
  return __reduce_add_sync(kAllLanes, value);
}

// Warps first, without shared memory; then every thread combines the results of the warps by itself, which saves the
// barrier that handing out the result would need. All threads read the same word at a time: a broadcast.
template <int threads, class Combine, class T>
__device__ __forceinline__ T block_reduce(T value, Combine combine) {
  constexpr int warps = threads / kWarp;
  ALMA_SHARED(T, partial, [warps]);
  value = warp_reduce<kWarp>(value, combine);
  __syncthreads();  // what an earlier call left has been read
  if (threadIdx.x % kWarp == 0) store<T>(&partial[threadIdx.x / kWarp], value);
  __syncthreads();
  value = load<T>(&partial[0]);
  ALMA_UNROLL
  for (int warp = 1; warp < warps; ++warp) value = combine(value, load<T>(&partial[warp]));
  return value;
}

/// Combines the values of the team of `lanes` threads; all of them get the result. More than 32 lanes: the whole block.
template <int lanes, class Combine, class T>
__device__ __forceinline__ T team_reduce(T value, Combine combine) {
  if constexpr (lanes <= kWarp) {
    return warp_reduce<lanes>(value, combine);
  } else {
    return block_reduce<lanes>(value, combine);
  }
}

}  // namespace alma
