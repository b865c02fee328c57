#pragma once
#include <array>
#include <cstdint>
#include <utility>

#include "kernels/cpu/vector.h"

namespace alma {

// The inner kernel of the packed product: a tile of rows x vectors of C in registers; for each k one row of B (vectors) and
// one element of A per row. rows * vectors sums, the vectors of this k and one broadcast have to fit the registers; wide
// flat tiles serve products with few rows, tall ones keep loads per multiply-add low.
inline constexpr int kMaxVectors = 6;
/// Roughly, for cutting work into pieces.
inline constexpr double kMacsPerNanosecond = kVectorBytes == 16 ? 16 : 48;
inline constexpr int kMaxRows = kVectorRegisters == 32 ? 14 : kVectorBytes == 32 ? 6 : 5;
/// How many vectors fit beside `rows` rows. Without fused multiply-add the product needs one more register.
constexpr int vectors_beside(int rows) {
  const int free = kVectorRegisters - (kVectorBytes == 16 ? 2 : 1);
  const int vectors = free / (rows + 1);
  return vectors < kMaxVectors ? vectors : kMaxVectors;
}

/// The most rows that leave room for `vectors` vectors.
constexpr std::int64_t rows_beside(std::int64_t vectors) {
  int rows = kMaxRows;
  while (rows > 1 && vectors_beside(rows) < vectors) --rows;
  return rows;
}

/// Where tiles that lie side by side read and write.
template <class T>
struct TileView {
  std::int64_t tiles;
  std::int64_t k;  // terms of each sum
  const T* a;      // element of row i at a + i * a_row + k * a_step
  std::int64_t a_row;
  std::int64_t a_step;
  const T* b;  // vectors of k at b + k * b_step
  std::int64_t b_step;
  std::int64_t b_tile;  // from one tile's to the next one's
  T* c;                 // row i at c + i * c_row
  std::int64_t c_row;
  std::int64_t last;  // columns of a tile's last vector that exist, 1 .. lanes
  const T* bias;      // of these columns; null: none
  bool add;           // C += instead of C =
  bool relu;
};

template <class T, int Rows, int Vectors, bool Contiguous>  // Contiguous: a_row is 1
[[gnu::always_inline]] inline void tile(const TileView<T>& v, const T* b, T* c, const T* bias) {
  constexpr int lanes = kLanes<T>;
  Vector<T> sums[Rows][Vectors] = {};
  const T* a = v.a;
  const std::int64_t a_row = Contiguous ? 1 : v.a_row;
#pragma GCC unroll 2
  for (std::int64_t k = v.k; k > 0; --k, a += v.a_step, b += v.b_step) {
    Vector<T> right[Vectors];
#pragma GCC unroll 6
    for (int j = 0; j < Vectors; ++j) right[j] = load_vector(b + j * lanes);
#pragma GCC unroll 14
    for (int i = 0; i < Rows; ++i) {
      const T left = a[i * a_row];
#pragma GCC unroll 6
      for (int j = 0; j < Vectors; ++j) sums[i][j] += left * right[j];
    }
  }
  const bool plain = !v.add && !v.relu && bias == nullptr;
  Vector<T> biases[Vectors] = {};
  if (bias != nullptr) {
#pragma GCC unroll 6
    for (int j = 0; j < Vectors; ++j)
      biases[j] = j + 1 < Vectors ? load_vector(bias + j * lanes) : load_part(bias + j * lanes, v.last);
  }
#pragma GCC unroll 14
  for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 6
    for (int j = 0; j < Vectors; ++j) {
      T* to = c + i * v.c_row + j * lanes;
      const bool whole = j + 1 < Vectors || v.last == lanes;
      Vector<T> value = sums[i][j];
      if (!plain) {
        if (v.add) value += whole ? load_vector(to) : load_part(to, v.last);
        value += biases[j];
        if (v.relu) value = value < T(0) ? Vector<T>{} : value;  // NaN stays NaN
      }
      if (whole) {
        store_vector(to, value);
      } else {
        store_part(to, value, v.last);
      }
    }
  }
}

/// v.tiles tiles, or one: a loop around it takes 10 cycles, which a product of few columns feels.
template <class T, int Rows, int Vectors, bool Contiguous, bool Several>
void tiles(const TileView<T>& v) {
  if constexpr (!Several) return tile<T, Rows, Vectors, Contiguous>(v, v.b, v.c, v.bias);
  const T* b = v.b;
  T* c = v.c;
  const T* bias = v.bias;
  for (std::int64_t left = v.tiles; left > 0; --left) {
    tile<T, Rows, Vectors, Contiguous>(v, b, c, bias);
    b += v.b_tile;
    c += Vectors * kLanes<T>;
    if (bias != nullptr) bias += Vectors * kLanes<T>;
  }
}

template <class T>
using TileFunction = void (*)(const TileView<T>&);

/// make.operator()<Rows, Vectors>() for every tile that fits the registers, by [rows - 1][vectors - 1]; null for the others.
template <class Function, class Make>
constexpr auto make_tile_table(Make make) {
  std::array<std::array<Function, kMaxVectors>, kMaxRows> table{};
  const auto fill_row = [&]<int Rows, int... Vectors>(std::integer_sequence<int, Vectors...>) {
    (
        [&] {
          if constexpr (Vectors < vectors_beside(Rows))
            table[Rows - 1][Vectors] = make.template operator()<Rows, Vectors + 1>();
        }(),
        ...);
  };
  [&]<int... Rows>(std::integer_sequence<int, Rows...>) {
    (fill_row.template operator()<Rows + 1>(std::make_integer_sequence<int, kMaxVectors>{}), ...);
  }
  (std::make_integer_sequence<int, kMaxRows>{});
  return table;
}

template <class T, bool Contiguous, bool Several>
inline constexpr auto tile_table = make_tile_table<TileFunction<T>>([]<int Rows, int Vectors>() -> TileFunction<T> {
  return tiles<T, Rows, Vectors, Contiguous, Several>;
});

}  // namespace alma
