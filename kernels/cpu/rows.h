#pragma once
#include <algorithm>
#include <cstdint>
#include <limits>

namespace alma {

/// Sum of term(0) .. term(n - 1) in a fixed order that vectorises: term i goes to lane i mod 16, lanes are added pairwise.
/// The error grows with n / 16 instead of n. Fewer than 16 terms are added one after the other.
template <class T, class Term>
inline T lane_sum(std::int64_t n, const Term& term) {
  constexpr int lanes = 16;
  T sum[lanes] = {};
  if (n < lanes) {
    for (std::int64_t i = 0; i < n; ++i) sum[0] += term(i);
    return sum[0];
  }
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    for (int lane = 0; lane < lanes; ++lane) sum[lane] += term(i + lane);
  for (int lane = 0; i < n; ++i, ++lane) sum[lane] += term(i);
  for (int width = lanes / 2; width > 0; width /= 2)
    for (int lane = 0; lane < width; ++lane) sum[lane] += sum[lane + width];
  return sum[0];
}

/// Largest element of a row, NaN left out; -inf if there is no other.
template <class T>
inline T largest(const T* x, std::int64_t n) {
  constexpr int lanes = 16;
  T best[lanes];
  std::fill_n(best, lanes, -std::numeric_limits<T>::infinity());
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    for (int lane = 0; lane < lanes; ++lane) best[lane] = x[i + lane] > best[lane] ? x[i + lane] : best[lane];
  for (; i < n; ++i) best[0] = x[i] > best[0] ? x[i] : best[0];
  return *std::max_element(best, best + lanes);
}

}  // namespace alma
