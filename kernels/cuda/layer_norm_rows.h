#pragma once
// How rows are shared out in layer normalisation. A team of threads keeps a row in registers, so that it is read once;
// rows beyond 8,192 are read a second time. Teams stay for several rows: gamma and beta are read once per team.
// Included after launch.h.
#include "kernels/cuda/reductions.h"
#include "kernels/cuda/statistics.h"

namespace alma {

inline constexpr int kRowsBlock = 256;
inline constexpr int kLongBlock = 512;
inline constexpr std::int64_t kLongestInRegisters = 8192;

/// How a row is shared out: a team of `lanes` threads, up to `floats` elements each; `width` of them are neighbours.
template <int lanes_, int floats_, int width_>
struct RowCut {
  static constexpr int lanes = lanes_, width = width_, items = floats_ / width_;
  static constexpr int block = lanes <= kWarp ? kRowsBlock : lanes, teams = block / lanes;
};

/// This thread's packs of up to lanes * floats elements from `first` on of a row of n.
template <class C>
struct RowPart {
  int lane, packs;

  __device__ explicit RowPart(std::int64_t n, std::int64_t first = 0) : lane(threadIdx.x % C::lanes) {
    const std::int64_t left = (n - first) / C::width, most = C::lanes * C::items;
    packs = static_cast<int>(left < most ? left : most);
  }
  __device__ float elements() const { return static_cast<float>(packs * C::width); }
  /// f(i, c): pack i of this thread starts at element c.
  template <class F>
  __device__ __forceinline__ void each(F f) const {
    ALMA_UNROLL
    for (int i = 0; i < C::items; ++i)
      if (lane + i * C::lanes < packs) f(i, (lane + i * C::lanes) * C::width);
  }
  template <class T>
  __device__ __forceinline__ T sum(T value) const {
    return team_reduce<C::lanes>(value, Sum{});
  }
  __device__ __forceinline__ void load_row(const float* row, bool aligned, Pack<C::width> (&x)[C::items]) const {
    each([&](int i, int c) { x[i] = load_pack<C::width>(row + c, aligned); });
  }
};

/// Calls f with the smallest cut that holds n elements in registers; a block's largest one if none does.
template <int width, class F>
void with_row_cut(std::int64_t n, F f) {
  if (n <= 16) return f(RowCut<4, 4, width>{});
  if (n <= 32) return f(RowCut<8, 4, width>{});
  if (n <= 128) return f(RowCut<kWarp, 4, width>{});
  if (n <= 512) return f(RowCut<kWarp, 16, width>{});
  if (n <= 2048) return f(RowCut<kRowsBlock, 8, width>{});
  f(RowCut<kLongBlock, 16, width>{});
}
template <class F>
void with_row_cut(std::int64_t n, F f) {
  n % 4 == 0 ? with_row_cut<4>(n, f) : with_row_cut<1>(n, f);
}

}  // namespace alma
