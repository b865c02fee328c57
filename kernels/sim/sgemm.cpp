#include "kernels/sim/sgemm.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace alma::sim {
namespace {

// A tile of 16 x 6 results fills 12 of the 16 vector registers; the other four hold two loads of A and a broadcast of B.
constexpr std::int64_t kRows = 16, kColumns = 6, kLanes = 8;
using Vector = float __attribute__((vector_size(kLanes * sizeof(float))));
constexpr std::int64_t kTileWorkWorthSpreading = 1 << 20;  // multiply-adds

std::int64_t panels(std::int64_t size, std::int64_t panel) { return (size + panel - 1) / panel; }

// panel by panel, k by k: `width` neighbours along the other dimension, zeros beyond the edge.
void pack(std::int64_t size, std::int64_t k, const float* data, std::int64_t stride, std::int64_t k_stride,
          std::int64_t width, std::vector<float>& packed) {
  packed.resize(static_cast<std::size_t>(panels(size, width) * width * k));
  float* out = packed.data();
  for (std::int64_t first = 0; first < size; first += width) {
    const std::int64_t present = std::min(width, size - first);
    for (std::int64_t p = 0; p < k; ++p, out += width) {
      const float* in = data + first * stride + p * k_stride;
      for (std::int64_t i = 0; i < present; ++i) out[i] = in[i * stride];
      for (std::int64_t i = present; i < width; ++i) out[i] = 0;
    }
  }
}

// result [kColumns][kRows] = A panel times B panel.
void multiply_panels(std::int64_t k, const float* a, const float* b, float* result) {
  Vector sums[kColumns][2] = {};
  for (std::int64_t p = 0; p < k; ++p, a += kRows, b += kColumns) {
    Vector low, high;
    std::memcpy(&low, a, sizeof low);
    std::memcpy(&high, a + kLanes, sizeof high);
    for (std::int64_t j = 0; j < kColumns; ++j) {
      sums[j][0] += low * b[j];
      sums[j][1] += high * b[j];
    }
  }
  std::memcpy(result, sums, sizeof sums);
}

void write_tile(const Product& x, std::int64_t row, std::int64_t column, const float* result) {
  const std::int64_t rows = std::min(kRows, x.m - row), columns = std::min(kColumns, x.n - column);
  for (std::int64_t j = 0; j < columns; ++j) {
    for (std::int64_t i = 0; i < rows; ++i) {
      float value = x.alpha * result[j * kRows + i];
      if (x.beta != 0) value += x.beta * x.c(row + i, column + j);
      if (x.bias != nullptr) value += x.bias[row + i];
      if (x.relu) value = value < 0 ? 0 : value;
      x.d(row + i, column + j) = value;
    }
  }
}

}  // namespace

void sgemm(const Product& x, ThreadPool* pool) {
  static thread_local std::vector<float> a, b;
  pack(x.m, x.k, x.a.data, x.a.row_stride, x.a.column_stride, kRows, a);
  pack(x.n, x.k, x.b.data, x.b.column_stride, x.b.row_stride, kColumns, b);
  const float *packed_a = a.data(), *packed_b = b.data();
  const std::int64_t row_panels = panels(x.m, kRows), tiles = row_panels * panels(x.n, kColumns);
  const auto run = [&](std::int64_t begin, std::int64_t end) {
    alignas(sizeof(Vector)) float result[kRows * kColumns];
    for (std::int64_t tile = begin; tile < end; ++tile) {
      const std::int64_t i = tile % row_panels * kRows, j = tile / row_panels * kColumns;
      multiply_panels(x.k, packed_a + i * x.k, packed_b + j * x.k, result);
      write_tile(x, i, j, result);
    }
  };
  if (pool == nullptr || pool->threads() == 1 || x.m * x.n * x.k < kTileWorkWorthSpreading) {
    run(0, tiles);
    return;
  }
  const std::int64_t pieces = std::min<std::int64_t>(tiles, 4 * pool->threads());
  pool->run(pieces, [&](std::int64_t piece) { run(tiles * piece / pieces, tiles * (piece + 1) / pieces); });
}

}  // namespace alma::sim
