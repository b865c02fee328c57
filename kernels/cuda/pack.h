#pragma once
// Packs of neighbouring floats. Included after launch.h.

namespace alma {

/// Neighbouring floats that a thread works on together: 4 where the sizes of the arrays are multiples of 4, else 1. Which
/// thread works on which elements follows from the sizes alone, so that results do not depend on addresses.
template <int width>
struct Pack {
  float v[width];
};

/// `aligned`: p is a multiple of 16 bytes.
template <int width>
__device__ __forceinline__ Pack<width> load_pack(const float* p, bool aligned) {
  Pack<width> pack;
  if constexpr (width == 4) {
    if (aligned) {
      const float4 v = load<float4>(p);
      return {{v.x, v.y, v.z, v.w}};
    }
  }
  ALMA_UNROLL
  for (int k = 0; k < width; ++k) pack.v[k] = load<float>(p + k);
  return pack;
}
template <int width>
__device__ __forceinline__ void store_pack(float* p, const Pack<width>& pack, bool aligned) {
  if constexpr (width == 4) {
    if (aligned) return store<float4>(p, make_float4(pack.v[0], pack.v[1], pack.v[2], pack.v[3]));
  }
  ALMA_UNROLL
  for (int k = 0; k < width; ++k) store<float>(p + k, pack.v[k]);
}

inline constexpr int kPack = 4;

/// A pack of 4 of which only the first `left` are there: the others are 0, and are not written.
__device__ __forceinline__ Pack<kPack> load_pack(const float* p, std::int64_t left, bool aligned) {
  if (left >= kPack) return load_pack<kPack>(p, aligned);
  Pack<kPack> pack{};
  ALMA_UNROLL
  for (int k = 0; k < kPack; ++k)
    if (k < left) pack.v[k] = load<float>(p + k);
  return pack;
}
__device__ __forceinline__ void store_pack(float* p, const Pack<kPack>& pack, std::int64_t left, bool aligned) {
  if (left >= kPack) return store_pack(p, pack, aligned);
  ALMA_UNROLL
  for (int k = 0; k < kPack; ++k)
    if (k < left) store<float>(p + k, pack.v[k]);
}

__device__ __forceinline__ Pack<kPack> scaled(Pack<kPack> pack, float factor) {
  ALMA_UNROLL
  for (float& value : pack.v) value *= factor;
  return pack;
}
/// sum + a . b
__device__ __forceinline__ float add_product(const Pack<kPack>& a, const Pack<kPack>& b, float sum) {
  ALMA_UNROLL
  for (int k = kPack - 1; k >= 0; --k) sum = fmaf(a.v[k], b.v[k], sum);
  return sum;
}

}  // namespace alma
