#include <array>

#include "kernels/checks/elementwise.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/gelu.h"
#include "kernels/cpu/parallel.h"

namespace alma {
namespace {

/// y's dimensions with the strides of a and b (0 where one is broadcast). Neighbours that both operands cross alike are one
/// dimension, so that the innermost loop is as long as it can be.
struct Loops {
  int rank = 0;
  std::array<std::int64_t, Shape::max_rank> size{}, stride_a{}, stride_b{};
};

Loops merge_dimensions(const Shape& a, const Shape& b, const Shape& y) {
  Loops loops;  // innermost first
  std::int64_t step_a = 1, step_b = 1;
  for (int i = 0; i < y.rank(); ++i) {
    const std::int64_t size = y[y.rank() - 1 - i];
    const std::int64_t size_a = i < a.rank() ? a[a.rank() - 1 - i] : 1, size_b = i < b.rank() ? b[b.rank() - 1 - i] : 1;
    const std::int64_t stride_a = size_a == 1 ? 0 : step_a, stride_b = size_b == 1 ? 0 : step_b;
    step_a *= size_a;
    step_b *= size_b;
    if (size == 1) continue;
    const auto last = static_cast<std::size_t>(loops.rank - 1), next = static_cast<std::size_t>(loops.rank);
    if (loops.rank > 0 && stride_a == loops.stride_a[last] * loops.size[last] &&
        stride_b == loops.stride_b[last] * loops.size[last]) {
      loops.size[last] *= size;
      continue;
    }
    loops.size[next] = size;
    loops.stride_a[next] = stride_a;
    loops.stride_b[next] = stride_b;
    ++loops.rank;
  }
  return loops;
}

/// One run of the innermost dimension. y may be a or b; see map() in elementwise.cpp.
template <class T, class F>
void run_row(const T* a, bool a_moves, const T* b, bool b_moves, T* y, std::int64_t n, F f) {
  if (a_moves && b_moves) {
#pragma GCC ivdep
    for (std::int64_t i = 0; i < n; ++i) y[i] = f(a[i], b[i]);
  } else if (a_moves) {
    const T value = *b;
#pragma GCC ivdep
    for (std::int64_t i = 0; i < n; ++i) y[i] = f(a[i], value);
  } else if (b_moves) {
    const T value = *a;
#pragma GCC ivdep
    for (std::int64_t i = 0; i < n; ++i) y[i] = f(value, b[i]);
  } else {
    std::fill_n(y, n, f(*a, *b));
  }
}

template <class T, class F>
void combine(ThreadPool* pool, const In& a, const In& b, const Out& y, F f) {
  if (y.shape.count() == 0) return;
  const Loops loops = merge_dimensions(a.shape, b.shape, y.shape);
  const bool a_moves = loops.stride_a[0] != 0, b_moves = loops.stride_b[0] != 0;
  constexpr double nanoseconds = 0.4;
  if (loops.rank <= 1) {
    for_pieces(pool, y.shape.count(), 16384, nanoseconds, [&](std::int64_t begin, std::int64_t end) {
      run_row(a.as<T>() + (a_moves ? begin : 0), a_moves, b.as<T>() + (b_moves ? begin : 0), b_moves, y.as<T>() + begin,
              end - begin, f);
    });
    return;
  }
  const std::int64_t width = loops.size[0];
  const std::int64_t rows = y.shape.count() / width;
  for_pieces(pool, rows, rows_per_piece(width), nanoseconds * static_cast<double>(width) + 5,
             [&](std::int64_t begin, std::int64_t end) {
               for (std::int64_t row = begin; row < end; ++row) {
                 std::int64_t offset_a = 0, offset_b = 0, rest = row;
                 for (std::size_t d = 1; d < static_cast<std::size_t>(loops.rank); ++d) {
                   offset_a += rest % loops.size[d] * loops.stride_a[d];
                   offset_b += rest % loops.size[d] * loops.stride_b[d];
                   rest /= loops.size[d];
                 }
                 run_row(a.as<T>() + offset_a, a_moves, b.as<T>() + offset_b, b_moves, y.as<T>() + row * width, width, f);
               }
             });
}

}  // namespace

void CpuBackend::binary(BinaryOp op, const In& a, const In& b, const Out& y) {
  const Observed seen = check::binary(*this, op, a, b, y);
  for_float("binary", a.dtype, [&](auto type) {
    using T = decltype(type);
    switch (op) {
      case BinaryOp::add: return combine<T>(pool_, a, b, y, [](T u, T v) { return u + v; });
      case BinaryOp::subtract: return combine<T>(pool_, a, b, y, [](T u, T v) { return u - v; });
      case BinaryOp::multiply: return combine<T>(pool_, a, b, y, [](T u, T v) { return u * v; });
      case BinaryOp::divide: return combine<T>(pool_, a, b, y, [](T u, T v) { return u / v; });
      case BinaryOp::relu_gradient: return combine<T>(pool_, a, b, y, [](T u, T v) { return v > T(0) ? u : T(0); });
      case BinaryOp::gelu_gradient: return combine<T>(pool_, a, b, y, [](T u, T v) { return u * gelu_slope(v); });
    }
  });
}

}  // namespace alma
