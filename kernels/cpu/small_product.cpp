#include "kernels/cpu/small_product.h"

#include <algorithm>
#include <array>
#include <utility>

#include "kernels/cpu/vector.h"

namespace alma {
namespace {

// Two ways, because a product with few columns fills vectors along k and any other along n.
//  dot    C[i][j] = sum over lanes of A[i][k...] B[j][k...]: rows of A and of B^T are contiguous in k
//  tile   a tile of rows x two vectors of C in registers; for each k one row of B and one element of A per row
// Registers: rows x vectors of sums, plus the vectors of B (or A) of this k and one broadcast.
constexpr int kTileVectors = 2;
constexpr int kTileRows = kVectorRegisters == 32 ? 12 : kVectorBytes == 32 ? 6 : 4;
constexpr int kDotRows = kVectorRegisters == 32 ? 6 : 3;
constexpr int kDotColumns = kVectorBytes == 16 ? 2 : 4;

template <class T>
constexpr std::int64_t kTileColumns = kTileVectors* kLanes<T>;

template <class T>
bool uses_dot(const Product<T>& p) {
  if (p.transpose_a || p.k < 4 * kLanes<T>) return false;
  return p.transpose_b ? p.m <= 8 || p.n <= kLanes<T> : p.n < kLanes<T>;
}

/// B is read where it lies if its rows are contiguous and too few rows of A would share the copy.
template <class T>
bool packs_all(const Product<T>& p) {
  return p.transpose_b || p.m >= 32;
}

// ---- dot ------------------------------------------------------------------------------------------------------------

template <class T, int Rows, int Columns>
void dot_tile(const Product<T>& p, const T* b, std::int64_t row, std::int64_t column) {
  Vector<T> sums[Rows][Columns] = {};
  const T* a = p.a + row * p.k;
  b += column * p.k;
  std::int64_t k = 0;
  for (; k + kLanes<T> <= p.k; k += kLanes<T>) {
    Vector<T> right[Columns];
#pragma GCC unroll 8
    for (int j = 0; j < Columns; ++j) right[j] = load_vector(b + j * p.k + k);
#pragma GCC unroll 8
    for (int i = 0; i < Rows; ++i) {
      const Vector<T> left = load_vector(a + i * p.k + k);
#pragma GCC unroll 8
      for (int j = 0; j < Columns; ++j) sums[i][j] += left * right[j];
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < Columns; ++j) {
      T sum = sum_lanes<T>(sums[i][j]);
      for (std::int64_t rest = k; rest < p.k; ++rest) sum += a[i * p.k + rest] * b[j * p.k + rest];
      T& c = p.c[(row + i) * p.n + column + j];
      if (p.accumulate) sum += c;
      if (p.bias != nullptr) sum += p.bias[column + j];
      c = p.relu && sum < T(0) ? T(0) : sum;  // NaN stays NaN
    }
  }
}

template <class T, int Rows>
void dot_columns(const Product<T>& p, const T* b, std::int64_t row) {
  std::int64_t column = 0;
  for (; column + kDotColumns <= p.n; column += kDotColumns) dot_tile<T, Rows, kDotColumns>(p, b, row, column);
  for (; column < p.n; ++column) dot_tile<T, Rows, 1>(p, b, row, column);
}

template <class T>
void dot_rows(const Product<T>& p, const T* b, std::int64_t begin, std::int64_t end) {
  std::int64_t row = begin;
  for (; row + kDotRows <= end; row += kDotRows) dot_columns<T, kDotRows>(p, b, row);
  for (; row < end; ++row) dot_columns<T, 1>(p, b, row);
}

// ---- tile -----------------------------------------------------------------------------------------------------------

/// Rows x Vectors of C at (row, column), of which `width` columns exist. b points at the first of k rows, b_step apart.
template <class T, int Vectors, int Rows>
void tile(const Product<T>& p, const T* b, std::int64_t b_step, std::int64_t row, std::int64_t column, std::int64_t width) {
  Vector<T> sums[Rows][Vectors] = {};
  const std::int64_t a_row = p.transpose_a ? 1 : p.k, a_step = p.transpose_a ? p.m : 1;
  const T* a = p.a + row * a_row;
  for (std::int64_t k = 0; k < p.k; ++k, a += a_step, b += b_step) {
    Vector<T> right[Vectors];
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) right[v] = load_vector(b + v * kLanes<T>);
#pragma GCC unroll 12
    for (int i = 0; i < Rows; ++i) {
      const T left = a[i * a_row];
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v) sums[i][v] += left * right[v];
    }
  }
  const bool whole = width == Vectors * kLanes<T>;
  T bias[Vectors * kLanes<T>] = {}, before[Vectors * kLanes<T>] = {};
  if (p.bias != nullptr) std::copy_n(p.bias + column, width, bias);
#pragma GCC unroll 12
  for (int i = 0; i < Rows; ++i) {
    T* c = p.c + (row + i) * p.n + column;
    if (p.accumulate) std::copy_n(c, width, before);
    T ragged[Vectors * kLanes<T>];
    T* target = whole ? c : ragged;
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) {
      Vector<T> value = sums[i][v] + load_vector(bias + v * kLanes<T>);
      if (p.relu) value = value < T(0) ? Vector<T>{} : value;  // NaN stays NaN
      store_vector(target + v * kLanes<T>, value + load_vector(before + v * kLanes<T>));
    }
    if (!whole) std::copy_n(ragged, width, c);
  }
}

template <class T>
using TileFunction = void (*)(const Product<T>&, const T*, std::int64_t, std::int64_t, std::int64_t, std::int64_t);

template <class T, int Vectors, int... Rows>
constexpr std::array<TileFunction<T>, sizeof...(Rows)> tile_functions(std::integer_sequence<int, Rows...>) {
  return {tile<T, Vectors, Rows + 1>...};
}

template <class T>
void tile_rows(const Product<T>& p, const T* packed, std::int64_t begin, std::int64_t end) {
  static constexpr auto one_vector = tile_functions<T, 1>(std::make_integer_sequence<int, kTileRows>{});
  static constexpr auto two_vectors = tile_functions<T, kTileVectors>(std::make_integer_sequence<int, kTileRows>{});
  const std::int64_t first_packed = packs_all(p) ? 0 : p.n / kTileColumns<T> * kTileColumns<T>;
  for (std::int64_t column = 0; column < p.n; column += kTileColumns<T>) {
    const bool is_packed = column >= first_packed;
    const T* b = is_packed ? packed + (column - first_packed) * p.k : p.b + column;
    const std::int64_t b_step = is_packed ? kTileColumns<T> : p.n;
    const std::int64_t width = std::min(kTileColumns<T>, p.n - column);
    const auto& functions = width <= kLanes<T> ? one_vector : two_vectors;
    // Rows in equal shares, so that no last tile is much shorter than the others.
    for (std::int64_t row = begin; row < end;) {
      const std::int64_t tiles = (end - row + kTileRows - 1) / kTileRows;
      const std::int64_t rows = (end - row + tiles - 1) / tiles;
      functions[static_cast<std::size_t>(rows - 1)](p, b, b_step, row, column, width);
      row += rows;
    }
  }
}

/// Columns [first, n) of op(B) in panels of kTileColumns: [panel][k][column], zeros beyond n.
template <class T>
void pack_panels(const Product<T>& p, std::int64_t first, T* packed) {
  for (std::int64_t column = first; column < p.n; column += kTileColumns<T>, packed += kTileColumns<T> * p.k) {
    const std::int64_t width = std::min(kTileColumns<T>, p.n - column);
    if (width < kTileColumns<T>) std::fill_n(packed, kTileColumns<T> * p.k, T(0));
    if (p.transpose_b) {
      for (std::int64_t k = 0; k < p.k; ++k)
        for (std::int64_t j = 0; j < width; ++j) packed[k * kTileColumns<T> + j] = p.b[(column + j) * p.k + k];
    } else {
      for (std::int64_t k = 0; k < p.k; ++k) std::copy_n(p.b + k * p.n + column, width, packed + k * kTileColumns<T>);
    }
  }
}

}  // namespace

template <class T>
std::int64_t small_product_scratch(const Product<T>& p) {
  return p.k * ((p.n + kTileColumns<T> - 1) / kTileColumns<T> * kTileColumns<T>);
}

template <class T>
void small_product_prepare(const Product<T>& p, T* scratch) {
  if (!uses_dot(p)) {
    pack_panels(p, packs_all(p) ? 0 : p.n / kTileColumns<T> * kTileColumns<T>, scratch);
  } else if (!p.transpose_b) {
    for (std::int64_t k = 0; k < p.k; ++k)
      for (std::int64_t j = 0; j < p.n; ++j) scratch[j * p.k + k] = p.b[k * p.n + j];
  }
}

template <class T>
void small_product_rows(const Product<T>& p, const T* scratch, std::int64_t begin, std::int64_t end) {
  if (uses_dot(p)) {
    dot_rows(p, p.transpose_b ? p.b : scratch, begin, end);
  } else {
    tile_rows(p, scratch, begin, end);
  }
}

template std::int64_t small_product_scratch(const Product<float>&);
template std::int64_t small_product_scratch(const Product<double>&);
template void small_product_prepare(const Product<float>&, float*);
template void small_product_prepare(const Product<double>&, double*);
template void small_product_rows(const Product<float>&, const float*, std::int64_t, std::int64_t);
template void small_product_rows(const Product<double>&, const double*, std::int64_t, std::int64_t);

}  // namespace alma
