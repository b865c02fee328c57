#include <algorithm>

#include "kernels/checks/matmul_images.h"
#include "kernels/cpu/column_sums.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/gemm_dot.h"
#include "kernels/cpu/gemm_tile.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/pixels.h"
#include "kernels/cpu/rows.h"

// Products with images that are read where they lie: pixels become floats in registers. A batch of normalised floats would
// be written to the second cache and read back, which takes as long as a product with four columns.

namespace alma {
namespace {

void find_rows(const char* op, const ImageRows& x, std::int64_t pixels, const std::uint8_t** rows) {
  const std::int64_t count = x.images.shape[0];
  for (std::int64_t i = 0; i < x.indices.shape[0]; ++i) {
    const std::int64_t index = x.indices.as<std::int32_t>()[i];
    if (index < 0 || index >= count) fail("[", op, "] index ", index, " at ", i, " is outside the ", count, " images");
    rows[i] = x.images.as<std::uint8_t>() + index * pixels;
  }
}

// ---- gradient for the weights -----------------------------------------------------------------------------------------

/// A tile of dW = dY^T X: rows are outputs, columns are pixels.
struct PixelTile {
  std::int64_t n;  // images
  const std::uint8_t* const* images;
  std::int64_t column;  // first pixel
  std::int64_t last;    // columns of the last vector that exist, 1 .. lanes
  const float* dy;      // element of row i at dy + image * dy_step + i
  std::int64_t dy_step;
  float* dw;
  std::int64_t dw_row;
  float scale;
  const float* start;  // per row: shift * sum of dy
};

template <int Rows, int Vectors>
void pixel_tile(const PixelTile& t) {
  constexpr int lanes = kLanes<float>;
  Vector<float> sums[Rows][Vectors] = {};
  const bool whole = t.last == lanes;
  const float* dy = t.dy;
  for (std::int64_t k = 0; k < t.n; ++k, dy += t.dy_step) {
    const std::uint8_t* pixels = t.images[k] + t.column;
    Vector<float> right[Vectors];
#pragma GCC unroll 6
    for (int j = 0; j + 1 < Vectors; ++j) right[j] = load_pixels(pixels + j * lanes);
    const std::uint8_t* end = pixels + (Vectors - 1) * lanes;
    right[Vectors - 1] = whole ? load_pixels(end) : load_pixels_part(end, t.last);
#pragma GCC unroll 14
    for (int i = 0; i < Rows; ++i) {
      const float left = dy[i];
#pragma GCC unroll 6
      for (int j = 0; j < Vectors; ++j) sums[i][j] += left * right[j];
    }
  }
#pragma GCC unroll 14
  for (int i = 0; i < Rows; ++i) {
    float* row = t.dw + i * t.dw_row;
#pragma GCC unroll 6
    for (int j = 0; j < Vectors; ++j) {
      const Vector<float> value = sums[i][j] * t.scale + t.start[i];
      if (j + 1 < Vectors || whole) {
        store_vector(row + j * lanes, value);
      } else {
        store_part(row + j * lanes, value, t.last);
      }
    }
  }
}

using PixelTileFunction = void (*)(const PixelTile&);
constexpr auto pixel_tiles = make_tile_table<PixelTileFunction>(
    []<int Rows, int Vectors>() -> PixelTileFunction { return pixel_tile<Rows, Vectors>; });

/// Pixels [begin, end) of dW.
void gradient_columns(const check::ImageProductSizes& size, PixelTile tile, const float* dy, float* dw, const float* start,
                      std::int64_t begin, std::int64_t end) {
  constexpr std::int64_t lanes = kLanes<float>;
  const std::int64_t row_tiles = ceil_divide(size.out, kMaxRows), tallest = ceil_divide(size.out, row_tiles);
  const std::int64_t most = vectors_beside(static_cast<int>(tallest));
  for (std::int64_t column = begin; column < end;) {
    const std::int64_t vectors_left = ceil_divide(end - column, lanes);
    const std::int64_t vectors = ceil_divide(vectors_left, ceil_divide(vectors_left, most));
    tile.column = column;
    tile.last = std::min(lanes, end - column - (vectors - 1) * lanes);
    for (std::int64_t row = 0; row < size.out; row += tallest) {
      const std::int64_t rows = std::min(tallest, size.out - row);
      tile.dy = dy + row;
      tile.dw = dw + row * size.pixels + column;
      tile.start = start + row;
      pixel_tiles[static_cast<std::size_t>(rows - 1)][static_cast<std::size_t>(vectors - 1)](tile);
    }
    column += vectors * lanes;
  }
}

}  // namespace

// With more outputs the pixels become floats once per few of them, and writing them all once is cheaper.
std::int64_t CpuBackend::most_image_outputs() const { return kLanes<float>; }

void CpuBackend::matmul_images(const ImageRows& x, const In& w, const Out& y, const Epilogue& epilogue) {
  const auto seen = check::matmul_images(*this, x, w, y, epilogue);
  const check::ImageProductSizes& size = seen.sizes;
  if (size.n == 0 || size.out == 0) return;
  // In one workspace: the rows, then the bias that holds the shift.
  auto* const rows = workspace_.take<const std::uint8_t*>(size.n + size.out);
  auto* const bias = reinterpret_cast<float*>(rows + size.n);
  find_rows("matmul_images", x, size.pixels, rows);
  for (std::int64_t j = 0; j < size.out; ++j) {
    const float* row = w.as<float>() + j * size.pixels;
    bias[j] = x.pixels.shift[0] * lane_sum<float>(size.pixels, [row](std::int64_t k) { return row[k]; });
    if (epilogue.bias) bias[j] += epilogue.bias.as<float>()[j];
  }
  const DotProduct<float, PixelRows> dot{{rows}, w.as<float>(), size.out, size.pixels, y.as<float>(), x.pixels.scale[0],
                                         bias,   epilogue.relu, false};
  const double nanoseconds = static_cast<double>(size.out * size.pixels) / kMacsPerNanosecond;
  for_pieces(pool_, size.n, 6 * dot_rows_beside(kDotColumns), nanoseconds,
             [&](std::int64_t begin, std::int64_t end) { dot_rows(dot, begin, end); });
}

void CpuBackend::matmul_images_gradient(const In& dy, const ImageRows& x, const Out& dw) {
  const auto seen = check::matmul_images_gradient(*this, dy, x, dw);
  const check::ImageProductSizes& size = seen.sizes;
  if (size.out == 0 || size.pixels == 0) return;
  auto* const rows = workspace_.take<const std::uint8_t*>(size.n + size.out);
  auto* const start = reinterpret_cast<float*>(rows + size.n);
  find_rows("matmul_images_gradient", x, size.pixels, rows);
  column_sums(dy.as<float>(), size.n, size.out, start);
  for (std::int64_t j = 0; j < size.out; ++j) start[j] *= x.pixels.shift[0];
  PixelTile tile{};
  tile.n = size.n;
  tile.images = rows;
  tile.dy_step = size.out;
  tile.dw_row = size.pixels;
  tile.scale = x.pixels.scale[0];
  const double nanoseconds = static_cast<double>(size.out * size.n) / kMacsPerNanosecond;
  for_pieces(pool_, size.pixels, 12 * kLanes<float>, nanoseconds, [&](std::int64_t begin, std::int64_t end) {
    gradient_columns(size, tile, dy.as<float>(), dw.as<float>(), start, begin, end);
  });
}

}  // namespace alma
