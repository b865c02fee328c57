#include "kernels/cpu/gemm.h"

#include <algorithm>

#include "kernels/cpu/gemm_dot.h"
#include "kernels/cpu/gemm_tile.h"
#include "kernels/cpu/pack.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/workspace.h"

namespace alma {
namespace {

// The blocked product of Goto and van de Geijn ("Anatomy of high-performance matrix multiplication", 2008), with B packed
// in panels as wide as a tile and A, where it is packed at all, one tile at a time: the tile's rows of A stay in the first
// cache while the panels of B stream from the second.
constexpr std::int64_t kMostTerms = 384;         // of k at once
constexpr std::int64_t kBlockBytes = 512 << 10;  // of B at once

/// Scratch of this thread, kept for the next product.
template <class T>
T* scratch(std::int64_t count) {
  thread_local Workspace workspace;
  return workspace.take<T>(count);
}

/// n in `count` shares as equal as can be, the larger ones first.
class Shares {
 public:
  Shares(std::int64_t n, std::int64_t count) : count_(count), size_(n / count), larger_(n - size_ * count) {}
  std::int64_t largest() const { return size_ + (larger_ > 0); }
  /// work(begin, size)
  template <class Work>
  void for_each(const Work& work) const {
    std::int64_t begin = 0;
    for (std::int64_t i = 0; i < count_; ++i) {
      const std::int64_t size = size_ + (i < larger_);
      work(begin, size);
      begin += size;
    }
  }

 private:
  std::int64_t count_, size_, larger_;
};

/// A part of C that one thread computes alone.
struct Block {
  std::int64_t row, rows, column, columns;
};

/// What one pass over part of k and part of the columns needs.
template <class T>
struct Pass {
  const Product<T>& p;
  std::int64_t k_begin, k;       // terms
  std::int64_t column, columns;  // of C
  std::int64_t vectors;          // of a panel
  const T* packed;               // B in panels; null: read where it lies

  bool first() const { return k_begin == 0; }
  bool last() const { return k_begin + k == p.k; }
};

constexpr std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

/// One tile's rows of A for this part of k: where they are, packed first if that pays.
template <class T>
void place_rows(const Pass<T>& pass, std::int64_t row, std::int64_t rows, bool pack, T* space, TileView<T>& view) {
  const Product<T>& p = pass.p;
  const T* a = p.transpose_a ? p.a + pass.k_begin * p.m + row : p.a + row * p.k + pass.k_begin;
  view.a = a;
  view.a_row = p.transpose_a ? 1 : p.k;
  view.a_step = p.transpose_a ? p.m : 1;
  if (!pack) return;
  const std::int64_t step = ceil_divide(rows, kLanes<T>) * kLanes<T>;
  if (p.transpose_a) {
    pack_rows(a, p.m, pass.k, rows, space, step);
  } else {
    pack_transposed(a, p.k, rows, pass.k, space, step);
  }
  view.a = space;
  view.a_row = 1;
  view.a_step = step;
}

template <class T>
void tile_rows(const Pass<T>& pass, std::int64_t row, std::int64_t rows, bool pack_a) {
  constexpr std::int64_t lanes = kLanes<T>;
  constexpr std::int64_t most_rows = (kMaxRows + lanes - 1) / lanes * lanes;
  alignas(64) T space[kMostTerms * most_rows];
  const Product<T>& p = pass.p;
  TileView<T> view;  // zeros would take as long as a small tile
  view.k = pass.k;
  place_rows(pass, row, rows, pack_a, space, view);
  view.c_row = p.n;
  view.add = !pass.first() || p.accumulate;
  view.relu = pass.last() && p.relu;
  const T* panel = pass.packed;
  for (std::int64_t j = 0; j < pass.columns;) {
    const std::int64_t left = pass.columns - j, column = pass.column + j;
    const std::int64_t vectors = std::min(pass.vectors, ceil_divide(left, lanes)), width = vectors * lanes;
    const bool several = left >= 2 * width;
    view.tiles = several ? left / width : 1;  // the whole ones, then one with fewer columns
    if (panel != nullptr) {
      view.b = panel;
      view.b_step = width;
      view.b_tile = width * pass.k;
      panel += view.tiles * view.b_tile;
    } else {
      view.b = p.b + pass.k_begin * p.n + column;
      view.b_step = p.n;
      view.b_tile = width;
    }
    view.c = p.c + row * p.n + column;
    view.last = std::min(lanes, left - (vectors - 1) * lanes);
    view.bias = pass.last() && p.bias != nullptr ? p.bias + column : nullptr;
    const auto& table = view.a_row == 1 ? (several ? tile_table<T, true, true> : tile_table<T, true, false>)
                                        : (several ? tile_table<T, false, true> : tile_table<T, false, false>);
    table[index(rows - 1)][index(vectors - 1)](view);
    j += view.tiles * width;
  }
}

/// B's part of this pass in panels: [panel][k][vectors], zeros beyond the last column.
template <class T>
void pack_panels(const Pass<T>& pass, T* to) {
  constexpr std::int64_t lanes = kLanes<T>;
  const Product<T>& p = pass.p;
  for (std::int64_t j = 0; j < pass.columns;) {
    const std::int64_t vectors = std::min(pass.vectors, ceil_divide(pass.columns - j, lanes));
    const std::int64_t step = vectors * lanes, width = std::min(step, pass.columns - j), column = pass.column + j;
    if (p.transpose_b) {
      pack_transposed(p.b + column * p.k + pass.k_begin, p.k, width, pass.k, to, step);
    } else {
      pack_rows(p.b + pass.k_begin * p.n + column, p.n, pass.k, width, to, step);
    }
    to += step * pass.k;
    j += step;
  }
}

/// Whether B is copied into panels: it must be if its rows are columns, and it pays if many rows of A share the copy, or the
/// rows are so far apart that the cache's sets would not hold them.
template <class T>
bool packs_b(const Product<T>& p, const Block& block) {
  return p.transpose_b || block.rows >= 128 || (block.rows >= 64 && p.n % 256 == 0);
}

/// Rows of a tile at most. With few terms the time goes into writing C: flat wide tiles write longer runs.
template <class T>
constexpr std::int64_t most_rows(const Product<T>& p) {
  constexpr std::int64_t widest = kVectorRegisters == 32 ? 4 : 3;
  const std::int64_t vectors = ceil_divide(p.n, kLanes<T>);
  return p.k <= 32 && vectors > 2 ? rows_beside(std::min(widest, vectors)) : kMaxRows;
}

/// A block of C, with B copied or read where it lies (then in whole vectors).
template <class T>
void multiply_block(const Product<T>& p, const Block& block, bool pack_b) {
  constexpr std::int64_t lanes = kLanes<T>;
  const Shares tiles(block.rows, ceil_divide(block.rows, most_rows(p)));
  const Shares parts(p.k, std::max<std::int64_t>(1, ceil_divide(p.k, kMostTerms)));
  const std::int64_t all_vectors = ceil_divide(block.columns, lanes);
  const std::int64_t panels = ceil_divide(all_vectors, vectors_beside(static_cast<int>(tiles.largest())));
  const std::int64_t vectors = Shares(all_vectors, panels).largest(), panel = vectors * lanes;
  std::int64_t columns_at_once = all_vectors * lanes;
  if (pack_b) {
    constexpr std::int64_t elements = kBlockBytes / static_cast<std::int64_t>(sizeof(T));
    if (columns_at_once * parts.largest() > elements)
      columns_at_once = std::max(panel, elements / std::max<std::int64_t>(1, parts.largest() * panel) * panel);
  }
  T* packed = pack_b ? scratch<T>(columns_at_once * parts.largest()) : nullptr;
  for (std::int64_t j = 0; j < block.columns; j += columns_at_once) {
    const std::int64_t columns = std::min(columns_at_once, block.columns - j);
    // A's rows are copied where enough panels share the copy, unless they lie side by side as it is.
    const bool pack_a = columns > 4 * panel && !(p.transpose_a && p.m <= 256);
    parts.for_each([&](std::int64_t first_term, std::int64_t terms) {
      const Pass<T> pass{p, first_term, terms, block.column + j, columns, vectors, packed};
      if (packed != nullptr) pack_panels(pass, packed);
      tiles.for_each([&](std::int64_t row, std::int64_t rows) { tile_rows(pass, block.row + row, rows, pack_a); });
    });
  }
}

template <class T>
void multiply_block(const Product<T>& p, const Block& block) {
  if (packs_b(p, block)) return multiply_block(p, block, true);
  // A vector over the end of B's last row must not be read: the ragged columns are copied.
  const std::int64_t whole = block.columns / kLanes<T> * kLanes<T>;
  if (whole > 0) multiply_block(p, {block.row, block.rows, block.column, whole}, false);
  if (whole < block.columns) multiply_block(p, {block.row, block.rows, block.column + whole, block.columns - whole}, true);
}

/// Few columns and a long k.
template <class T>
bool uses_dot(const Product<T>& p) {
  if (p.transpose_a) return false;
  return p.transpose_b ? p.n <= kLanes<T> && p.k >= 4 * kLanes<T>
                       : p.n <= kLanes<T> / 4 && p.k >= 2 * kLanes<T> && p.m >= 32;
}

/// B^T for the dot kernel: B itself, or a copy of its few columns as rows.
template <class T>
const T* columns_as_rows(const Product<T>& p) {
  if (p.transpose_b) return p.b;
  T* rows = scratch<T>(p.n * p.k);
  for (std::int64_t k = 0; k < p.k; ++k)
    for (std::int64_t j = 0; j < p.n; ++j) rows[j * p.k + k] = p.b[k * p.n + j];
  return rows;
}

/// Calls work(begin, size) for `n` in at most `pieces` pieces of a multiple of `unit`, on the pool.
template <class Work>
void cut(ThreadPool* pool, std::int64_t n, std::int64_t unit, std::int64_t pieces, const Work& work) {
  const std::int64_t size = ceil_divide(ceil_divide(n, unit), pieces) * unit;
  if (size >= n) return work(0, n);
  pool->run(ceil_divide(n, size), [&](std::int64_t piece) { work(piece * size, std::min(size, n - piece * size)); });
}

/// How many pieces the work is worth: some per thread, so that an uneven load evens out, but none too short to be worth
/// waking a thread for. The result does not depend on it.
template <class T>
std::int64_t worthwhile_pieces(ThreadPool* pool, const Product<T>& p) {
  constexpr double shortest = 25'000;  // nanoseconds
  const double nanoseconds =
      static_cast<double>(p.m) * static_cast<double>(p.n) * static_cast<double>(p.k) / kMacsPerNanosecond;
  if (pool == nullptr || pool->threads() == 1 || nanoseconds < 2 * shortest) return 1;
  return std::min<std::int64_t>(4 * pool->threads(), static_cast<std::int64_t>(nanoseconds / shortest));
}

}  // namespace

void multiply(ThreadPool* pool, const Product<float>& p) {
  using T = float;
  if (p.m == 0 || p.n == 0) return;
  const std::int64_t pieces = worthwhile_pieces(pool, p);
  if (uses_dot(p)) {
    const DotProduct<T, DenseRows<T>> dot{{p.a, p.k}, columns_as_rows(p), p.n, p.k, p.c, T(1), p.bias, p.relu, p.accumulate};
    return cut(pool, p.m, 2 * dot_rows_beside(kDotColumns), pieces,
               [&](std::int64_t row, std::int64_t rows) { dot_rows(dot, row, row + rows); });
  }
  // Pieces of rows copy B again each, pieces of columns read A again, which is cheaper until A is many times larger.
  constexpr std::int64_t panel = 2 * kLanes<T>;
  if (p.m < 8 * p.n && p.n >= 2 * panel) {
    cut(pool, p.n, panel, pieces, [&](std::int64_t column, std::int64_t columns) {
      multiply_block(p, {0, p.m, column, columns});
    });
  } else {
    cut(pool, p.m, kMaxRows, pieces, [&](std::int64_t row, std::int64_t rows) { multiply_block(p, {row, rows, 0, p.n}); });
  }
}

}  // namespace alma
