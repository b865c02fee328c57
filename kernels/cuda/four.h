#pragma once
// Four neighbours at a time: with one access where all memory is aligned for it, else one by one, in the same order, so that
// the result does not depend on where the memory lies. Included after launch.h.

namespace alma {

inline constexpr int kFour = 4;

/// p[0..3], zeros from `left` on.
template <bool vectors>
__device__ __forceinline__ float4 load_four(const float* p, std::int64_t left) {
  if (vectors && left >= kFour) return load<float4>(p);
  return {left > 0 ? load<float>(p) : 0.0f, left > 1 ? load<float>(p + 1) : 0.0f, left > 2 ? load<float>(p + 2) : 0.0f,
          left > 3 ? load<float>(p + 3) : 0.0f};
}

/// Writes the first `left` of them.
template <bool vectors>
__device__ __forceinline__ void store_four(float* p, float4 v, std::int64_t left) {
  if (vectors && left >= kFour) return store<float4>(p, v);
  if (left > 0) store<float>(p, v.x);
  if (left > 1) store<float>(p + 1, v.y);
  if (left > 2) store<float>(p + 2, v.z);
  if (left > 3) store<float>(p + 3, v.w);
}

__device__ __forceinline__ float4 scaled(float4 v, float factor) {
  return {v.x * factor, v.y * factor, v.z * factor, v.w * factor};
}
/// sum + a . b
__device__ __forceinline__ float dot_four(float4 a, float4 b, float sum) {
  return fmaf(a.x, b.x, fmaf(a.y, b.y, fmaf(a.z, b.z, fmaf(a.w, b.w, sum))));
}

}  // namespace alma
