#pragma once
#include <array>
#include <cstdint>
#include <utility>

#include "kernels/cpu/pixels.h"
#include "kernels/cpu/vector.h"

namespace alma {

// The kernel for products with few columns and a long k, where vectors along n would be mostly empty: rows of A and of B^T
// lie along k, a tile of rows x columns of sums is kept in vectors along k, and the lanes are added at the end.
inline constexpr int kDotColumns = kVectorBytes >= 32 ? 4 : 2;
/// Rows beside `columns` columns: the sums, one vector per column and one of A have to fit the registers.
constexpr int dot_rows_beside(int columns) {
  const int free = kVectorRegisters - (kVectorBytes == 16 ? 2 : 1) - columns;
  const int rows = free / columns;
  return rows < 12 ? rows : 12;
}

template <class T>
struct FourOf {
  typedef T type __attribute__((vector_size(4 * sizeof(T))));
};
template <class T>
using Four = typename FourOf<T>::type;

/// Sums of the lanes of four vectors: each step halves the lanes and doubles the vectors that they belong to.
template <class T>
inline void sum_lanes_of_four(const Vector<T>& a, const Vector<T>& b, const Vector<T>& c, const Vector<T>& d, Four<T>& sum) {
  if constexpr (sizeof(T) == 4) {
    constexpr auto shuffled =
        []<int... L>(const Vector<T>& x, const Vector<T>& y, std::integer_sequence<int, L...>, auto f) {
      return __builtin_shuffle(x, y, Vector<std::int32_t>{f(L)...});
    };
    constexpr auto all = std::make_integer_sequence<int, kLanes<T>>{};
    constexpr int n = kLanes<T>;
    // Within 16 bytes: lanes x0 y0 x1 y1 and x2 y2 x3 y3, then x0 x1 y0 y1 ... of two such pairs.
    constexpr auto low = [](int lane) { return (lane & ~3) + (lane & 3) / 2 + (lane & 1) * n; };
    constexpr auto high = [](int lane) { return (lane & ~3) + 2 + (lane & 3) / 2 + (lane & 1) * n; };
    constexpr auto first = [](int lane) { return (lane & ~3) + (lane & 1) + (lane & 2) / 2 * n; };
    constexpr auto second = [](int lane) { return (lane & ~3) + 2 + (lane & 1) + (lane & 2) / 2 * n; };
    const Vector<T> ab = shuffled(a, b, all, low) + shuffled(a, b, all, high);
    const Vector<T> cd = shuffled(c, d, all, low) + shuffled(c, d, all, high);
    const Vector<T> sums = shuffled(ab, cd, all, first) + shuffled(ab, cd, all, second);
    Four<T> quarters[kVectorBytes / 16];
    std::memcpy(quarters, &sums, sizeof sums);
    for (int width = kVectorBytes / 32; width > 0; width /= 2)
      for (int i = 0; i < width; ++i) quarters[i] += quarters[i + width];
    sum = quarters[0];
  } else {
    sum = Four<T>{sum_lanes<T>(a), sum_lanes<T>(b), sum_lanes<T>(c), sum_lanes<T>(d)};
  }
}

/// Where dot tiles find A: rows of floats, ...
template <class T>
struct DenseRows {
  const T* a;
  std::int64_t k;

  const T* row(std::int64_t i) const { return a + i * k; }
  static Vector<T> load(const T* x) { return load_vector(x); }
  static Vector<T> load_part(const T* x, std::int64_t count) { return alma::load_part(x, count); }
};

/// ... or images. Their normalisation is left to `factor` and the bias: x = scale p + shift, so that
/// sum x w = scale sum p w + shift sum w.
struct PixelRows {
  const std::uint8_t* const* images;

  const std::uint8_t* row(std::int64_t i) const { return images[i]; }
  static Vector<float> load(const std::uint8_t* x) { return load_pixels(x); }
  static Vector<float> load_part(const std::uint8_t* x, std::int64_t count) { return load_pixels_part(x, count); }
};

/// C [.., n] = factor A B^T with the epilogue.
template <class T, class A>
struct DotProduct {
  A a;
  const T* b;  // rows of B^T, k long
  std::int64_t n, k;
  T* c;
  T factor;
  const T* bias;  // null: none
  bool relu, accumulate;
};

/// Rows x Columns of C at (row, column).
template <class T, class A, int Rows, int Columns>
void dot_tile(const DotProduct<T, A>& p, std::int64_t row, std::int64_t column) {
  constexpr int lanes = kLanes<T>;
  using Element = decltype(p.a.row(0));
  Vector<T> sums[Rows][Columns] = {};
  Element a[Rows];
#pragma GCC unroll 12
  for (int i = 0; i < Rows; ++i) a[i] = p.a.row(row + i);
  const T* b = p.b + column * p.k;
  const auto add_products = [&](std::int64_t k, auto&& load_a, auto&& load_b) {
    Vector<T> right[Columns];
#pragma GCC unroll 4
    for (int j = 0; j < Columns; ++j) right[j] = load_b(b + j * p.k + k);
#pragma GCC unroll 12
    for (int i = 0; i < Rows; ++i) {
      const Vector<T> left = load_a(a[i] + k);
#pragma GCC unroll 4
      for (int j = 0; j < Columns; ++j) sums[i][j] += left * right[j];
    }
  };
  std::int64_t k = 0;
  for (; k + lanes <= p.k; k += lanes)
    add_products(
        k, [](Element x) { return A::load(x); }, [](const T* x) { return load_vector(x); });
  if (const std::int64_t rest = p.k - k; rest > 0)
    add_products(
        k, [rest](Element x) { return A::load_part(x, rest); }, [rest](const T* x) { return load_part(x, rest); });
  constexpr std::size_t bytes = Columns * sizeof(T);
  Four<T> bias = {};
  if (p.bias != nullptr) std::memcpy(&bias, p.bias + column, bytes);
#pragma GCC unroll 12
  for (int i = 0; i < Rows; ++i) {
    const Vector<T> zero = {};
    T* c = p.c + (row + i) * p.n + column;
    Four<T> value;
    sum_lanes_of_four<T>(sums[i][0], Columns > 1 ? sums[i][Columns > 1 ? 1 : 0] : zero,
                         Columns > 2 ? sums[i][Columns > 2 ? 2 : 0] : zero,
                         Columns > 3 ? sums[i][Columns > 3 ? 3 : 0] : zero, value);
    value *= p.factor;
    if (p.accumulate) {
      Four<T> before = {};
      std::memcpy(&before, c, bytes);
      value += before;
    }
    value += bias;
    if (p.relu) value = value < T(0) ? Four<T>{} : value;  // NaN stays NaN
    std::memcpy(c, &value, bytes);
  }
}

/// dot_tile by rows - 1.
template <class T, class A, int Columns>
inline constexpr auto dot_tiles = []<int... R>(std::integer_sequence<int, R...>) {
  return std::array{dot_tile<T, A, R + 1, Columns>...};
}
(std::make_integer_sequence<int, dot_rows_beside(Columns)>{});

/// Columns [column, column + Columns) of rows [begin, end), in tiles of equal height.
template <int Columns, class T, class A>
void dot_columns(const DotProduct<T, A>& p, std::int64_t begin, std::int64_t end, std::int64_t column) {
  constexpr int most = dot_rows_beside(Columns);
  for (std::int64_t row = begin; row < end;) {
    const std::int64_t tiles = (end - row + most - 1) / most;
    const std::int64_t rows = (end - row + tiles - 1) / tiles;
    dot_tiles<T, A, Columns>[static_cast<std::size_t>(rows - 1)](p, row, column);
    row += rows;
  }
}

/// Rows [begin, end) of the product, a few at a time for all columns, so that A is fetched once.
template <class T, class A>
void dot_rows(const DotProduct<T, A>& p, std::int64_t begin, std::int64_t end) {
  constexpr std::int64_t rows_at_once = 2 * dot_rows_beside(kDotColumns);
  for (std::int64_t row = begin; row < end; row += rows_at_once) {
    const std::int64_t stop = row + rows_at_once < end ? row + rows_at_once : end;
    std::int64_t column = 0;
    for (; column + kDotColumns <= p.n; column += kDotColumns) dot_columns<kDotColumns>(p, row, stop, column);
    switch (p.n - column) {
      case 1: dot_columns<1>(p, row, stop, column); break;
      case 2: dot_columns<2>(p, row, stop, column); break;
      case 3: dot_columns<3>(p, row, stop, column); break;
    }
  }
}

}  // namespace alma
