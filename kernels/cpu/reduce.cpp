#include <array>

#include "kernels/checks/reduce.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/f64.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/rows.h"

namespace alma {
namespace {

constexpr std::int64_t kSumPiece = 4096;  // elements of a row that are summed at once
constexpr std::int64_t kRowPiece = 128;   // rows whose columns are summed at once
constexpr double kSumNanoseconds = 0.15;

using f64::column_sums;
using f64::row_sum;

/// Sum of n neighbours: pieces of fixed size, added in index order in f64.
float row_sum(const float* x, std::int64_t n) {
  double sum = 0;
  for (std::int64_t begin = 0; begin < n; begin += kSumPiece) {
    const float* piece = x + begin;
    sum += lane_sum<float>(std::min(kSumPiece, n - begin), [piece](std::int64_t i) { return piece[i]; });
  }
  return static_cast<float>(sum);
}

/// y[j] (+)= sum over the rows of x [rows, n]; each piece of rows is summed by itself.
void column_sums(const float* __restrict x, std::int64_t rows, std::int64_t n, std::int64_t begin, std::int64_t end,
                 bool add, float* __restrict y) {
  constexpr std::int64_t width = 256;  // columns at once: their sums stay in the first cache
  float sum[width];
  for (std::int64_t left = begin; left < end; left += width) {
    const std::int64_t columns = std::min(width, end - left);
    if (!add) std::fill_n(y + left, columns, 0.0F);
    for (std::int64_t top = 0; top < rows; top += kRowPiece) {
      std::fill_n(sum, columns, 0.0F);
      for (std::int64_t row = top; row < std::min(rows, top + kRowPiece); ++row)
        for (std::int64_t j = 0; j < columns; ++j) sum[j] += x[row * n + left + j];
      for (std::int64_t j = 0; j < columns; ++j) y[left + j] += sum[j];
    }
  }
}

/// x's dimensions, outermost first, those of size 1 left out and neighbours of one kind merged: kept and summed alternate.
struct Groups {
  int count = 0;
  std::array<std::int64_t, Shape::max_rank> size{};
  std::array<bool, Shape::max_rank> summed{};
};

Groups group_dimensions(const Shape& x, const Shape& y) {
  Groups groups;
  for (int i = 0; i < x.rank(); ++i) {
    if (x[i] == 1) continue;
    const bool summed = y[i] == 1;
    const auto last = static_cast<std::size_t>(groups.count - 1), next = static_cast<std::size_t>(groups.count);
    if (groups.count > 0 && groups.summed[last] == summed) {
      groups.size[last] *= x[i];
    } else {
      groups.size[next] = x[i];
      groups.summed[next] = summed;
      ++groups.count;
    }
  }
  return groups;
}

/// One long row: the pieces may run on several threads.
template <class T>
void total(ThreadPool* pool, Workspace& workspace, const T* x, std::int64_t n, T* y) {
  double* partial = workspace.take<double>(ceil_divide(n, kSumPiece));
  for_pieces(pool, n, kSumPiece, kSumNanoseconds,
             [&](std::int64_t begin, std::int64_t end) { partial[begin / kSumPiece] = row_sum(x + begin, end - begin); });
  double sum = 0;
  for (std::int64_t piece = 0; piece < ceil_divide(n, kSumPiece); ++piece) sum += partial[piece];
  *y = static_cast<T>(sum);
}

/// Groups from `g` on: y (+)= their sum. Their kept elements are dense in y.
template <class T>
void sum_groups(const Groups& groups, std::size_t g, const T* x, T* y, bool add) {
  const std::size_t left = static_cast<std::size_t>(groups.count) - g;
  std::int64_t step_x = 1, step_y = 1;
  for (std::size_t i = g + 1; i < g + left; ++i) {
    step_x *= groups.size[i];
    if (!groups.summed[i]) step_y *= groups.size[i];
  }
  const std::int64_t size = groups.size[g];
  if (left == 1 && groups.summed[g]) {
    const T sum = row_sum(x, size);
    *y = add ? *y + sum : sum;
  } else if (left == 1) {
    for (std::int64_t i = 0; i < size; ++i) y[i] = add ? y[i] + x[i] : x[i];
  } else if (left == 2 && groups.summed[g]) {
    column_sums(x, size, step_x, 0, step_x, add, y);
  } else {
    for (std::int64_t i = 0; i < size; ++i)
      sum_groups(groups, g + 1, x + i * step_x, groups.summed[g] ? y : y + i * step_y, add || (groups.summed[g] && i > 0));
  }
}

template <class T>
void sum_dimensions(ThreadPool* pool, Workspace& workspace, const In& x, const Out& y) {
  const Groups groups = group_dimensions(x.shape, y.shape);
  if (x.shape.count() == 0) {
    std::fill_n(y.as<T>(), y.shape.count(), T(0));
  } else if (groups.count == 0) {
    *y.as<T>() = *x.as<T>();
  } else if (groups.count == 1 && groups.summed[0]) {
    total(pool, workspace, x.as<T>(), groups.size[0], y.as<T>());
  } else if (groups.count == 2 && groups.summed[0]) {
    const std::int64_t rows = groups.size[0], n = groups.size[1];
    for_pieces(pool, n, 256, kSumNanoseconds * static_cast<double>(rows),
               [&](std::int64_t begin, std::int64_t end) { column_sums(x.as<T>(), rows, n, begin, end, false, y.as<T>()); });
  } else if (groups.summed[0]) {
    sum_groups(groups, 0, x.as<T>(), y.as<T>(), false);
  } else {
    Groups rest = groups;
    rest.size[0] = 1;  // one element of the outermost kept dimension at a time
    const std::int64_t step_x = x.shape.count() / groups.size[0], step_y = y.shape.count() / groups.size[0];
    for_pieces(pool, groups.size[0], rows_per_piece(step_x), kSumNanoseconds * static_cast<double>(step_x),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t i = begin; i < end; ++i)
                   sum_groups(rest, 0, x.as<T>() + i * step_x, y.as<T>() + i * step_y, false);
               });
  }
}

/// NaN equals nothing, so a row of NaN alone has no largest element: index 0.
template <class T>
std::int32_t index_of_largest(const T* x, std::int64_t n) {
  const T* found = std::find(x, x + n, largest(x, n));
  return found == x + n ? 0 : static_cast<std::int32_t>(found - x);
}

}  // namespace

void CpuBackend::reduce_sum(const In& x, const Out& y) {
  const Observed seen = check::reduce_sum(*this, x, y);
  for_float("reduce_sum", x.dtype, [&](auto type) { sum_dimensions<decltype(type)>(pool_, workspace_, x, y); });
}

void CpuBackend::argmax(const In& x, const Out& y) {
  const Observed seen = check::argmax(*this, x, y);
  for_float("argmax", x.dtype, [&](auto type) {
    using T = decltype(type);
    const std::int64_t n = x.shape[1];
    for_pieces(pool_, x.shape[0], rows_per_piece(n), static_cast<double>(n), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) y.as<std::int32_t>()[row] = index_of_largest(x.as<T>() + row * n, n);
    });
  });
}

}  // namespace alma
