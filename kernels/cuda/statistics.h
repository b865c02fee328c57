#pragma once
// What normalisations share: means and sums of squares about them. Included after launch.h and reductions.h.
#include "kernels/cuda/pack.h"

namespace alma {

/// Two sums that are reduced together.
struct alignas(8) TwoSums {
  float first, second;
  __device__ TwoSums operator+(TwoSums other) const { return {first + other.first, second + other.second}; }
};
__device__ __forceinline__ TwoSums from_partner(TwoSums sums, int distance) {
  return {from_partner(sums.first, distance), from_partner(sums.second, distance)};
}

/// Of some numbers; enough to merge them with others. The mean is kept as mean + rest, exact to twice the digits of a float:
/// the distance of two means enters the squares, and would be lost in the rounding of large means. squares: sum of the
/// squared distances from the mean.
struct alignas(16) Moments {
  float count = 0, mean = 0, rest = 0, squares = 0;

  __device__ float rounded_mean() const { return mean + rest; }
  /// With `centre` near the mean, from the sums of x - centre and of its square: no difference of large sums, unlike
  /// E[x^2] - E[x]^2.
  __device__ static Moments about(float centre, float count, TwoSums sums) {
    const float rest = sums.first / count;
    return {count, centre, rest, fmaf(-sums.first, rest, sums.second)};
  }
};
/// Chan, Golub and LeVeque 1979.
__device__ __forceinline__ Moments merge(const Moments& a, const Moments& b) {
  if (a.count == 0) return b;
  const float count = a.count + b.count, share = b.count / count, distance = (b.mean - a.mean) + (b.rest - a.rest);
  const float step = fmaf(distance, share, a.rest), mean = a.mean + step;
  const float added = mean - a.mean;  // what is left of step, by Knuth's exact sum
  const float rest = (a.mean - (mean - added)) + (step - added);
  return {count, mean, rest, a.squares + fmaf(distance * distance, a.count * share, b.squares)};
}

/// The moments of `count` numbers that a team holds in registers. Place: each(f) calls f(i, ...) for the packs x[i] that are
/// there, sum() adds up what every thread of the team has.
template <class Place, int items, int width>
__device__ __forceinline__ Moments moments_of(const Place& place, const Pack<width> (&x)[items], float count) {
  float sum = 0;
  place.each([&](int i, auto...) {
    ALMA_UNROLL
    for (int k = 0; k < width; ++k) sum += x[i].v[k];
  });
  const float mean = place.sum(sum) / count;
  TwoSums sums{};
  place.each([&](int i, auto...) {
    ALMA_UNROLL
    for (int k = 0; k < width; ++k) {
      const float distance = x[i].v[k] - mean;
      sums.first += distance;
      sums.second = fmaf(distance, distance, sums.second);
    }
  });
  return Moments::about(mean, count, place.sum(sums));
}

}  // namespace alma
