#pragma once
// Rows that a team of threads keeps in registers, so that they are read once: 4 lanes for up to 16 elements (a warp would
// leave two thirds of its lanes idle at 10, and shuffle five times instead of two), 8 lanes for up to 32, a warp up to
// 1,024, a block up to 8,192. Longer rows belong to a block, which reads them a second time. Included after launch.h.
#include "kernels/cuda/reductions.h"

namespace alma {

inline constexpr std::int64_t kMaxInWarp = 1024, kMaxInBlock = 8192;

/// A row of up to lanes * items elements, in the registers of its team; -infinity beyond its end. A team of more than 32
/// lanes is the whole block.
template <int lanes, int items>
struct Row {
  float value[items];
  int lane;
  int n;

  /// `present`: false for a team without a row, which still takes part in the reductions.
  __device__ Row(const float* row, std::int64_t size, bool present)
      : lane(threadIdx.x % lanes), n(present ? static_cast<int>(size) : 0) {
    ALMA_UNROLL
    for (int i = 0; i < items; ++i) value[i] = lane + i * lanes < n ? load<float>(row + lane + i * lanes) : -INFINITY;
  }
  /// f(i, c): item i of this lane is element c of the row.
  template <class F>
  __device__ __forceinline__ void each(F f) {
    ALMA_UNROLL
    for (int i = 0; i < items; ++i)
      if (lane + i * lanes < n) f(i, lane + i * lanes);
  }
  __device__ float max() {
    float result = -INFINITY;
    ALMA_UNROLL
    for (int i = 0; i < items; ++i) result = fmaxf(result, value[i]);
    return team_reduce<lanes>(result, Max{});
  }
  /// Replaces the values by exp(value - max) and returns their sum.
  __device__ float exponentials(float max) {
    float sum = 0;
    each([&](int i, int) {
      value[i] = expf(value[i] - max);
      sum += value[i];
    });
    return team_reduce<lanes>(sum, Sum{});
  }
};

/// Maximum of some elements and the sum of exp(element - maximum): enough to merge them with others.
struct Exponentials {
  float max, sum;
};
struct Merge {
  __device__ Exponentials operator()(Exponentials a, Exponentials b) const {
    if (a.max == b.max) return {a.max, a.sum + b.sum};  // also both -infinity, whose difference would be NaN
    const float max = fmaxf(a.max, b.max);
    return {max, fmaf(a.sum, expf(a.max - max), b.sum * expf(b.max - max))};
  }
};
__device__ __forceinline__ Exponentials no_elements() { return {-INFINITY, 0}; }
__device__ __forceinline__ Exponentials from_partner(Exponentials e, int distance) {
  return {alma::from_partner(e.max, distance), alma::from_partner(e.sum, distance)};
}

// Of a row that does not fit into registers; called by the whole block.
template <int threads>
__device__ Exponentials exponentials_of(const float* row, std::int64_t n) {
  Exponentials all = no_elements();
  for (std::int64_t c = threadIdx.x; c < n; c += threads) all = Merge{}(all, Exponentials{load<float>(row + c), 1});
  return team_reduce<threads>(all, Merge{});
}

/// The cut of a row: lanes of its team and elements per lane. 0 elements: it does not fit.
template <int lanes_, int items_>
struct Cut {
  static constexpr int lanes = lanes_, items = items_;
};

// Calls f with the smallest cut that holds n elements in registers; a block has `block` threads.
template <int block, class F>
void with_cut(std::int64_t n, F f) {
  if (n <= 16) return f(Cut<4, 4>{});
  if (n <= 32) return f(Cut<8, 4>{});
  if (n <= 4 * kWarp) return f(Cut<kWarp, 4>{});
  if (n <= kMaxInWarp) return f(Cut<kWarp, kMaxInWarp / kWarp>{});
  if (n <= kMaxInBlock / 4) return f(Cut<block, kMaxInBlock / 4 / block>{});
  if (n <= kMaxInBlock) return f(Cut<block, kMaxInBlock / block>{});
  f(Cut<block, 0>{});
}

/// Teams of `lanes` in a block of `block` threads.
template <int block, int lanes>
inline constexpr int teams_in = block / lanes;

}  // namespace alma
