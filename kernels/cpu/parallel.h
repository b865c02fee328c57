#pragma once
#include <algorithm>
#include <cstdint>

#include "base/thread_pool.h"
#include "kernels/views.h"

namespace alma {

constexpr std::int64_t ceil_divide(std::int64_t n, std::int64_t by) { return (n + by - 1) / by; }

/// Estimated work below which a call stays on its thread. A rough bound: many times the 5 us that waking a thread takes.
inline constexpr double kWorthwhileNanoseconds = 80'000;

/// Calls work(begin, end) for [0, n) in pieces of `grain`, on the pool where there is enough to do. The pieces follow from
/// n and grain alone, so a result per piece (at begin / grain) is the same for any number of threads.
template <class Work>
void for_pieces(ThreadPool* pool, std::int64_t n, std::int64_t grain, double nanoseconds_each, const Work& work) {
  const std::int64_t pieces = ceil_divide(n, grain);
  const auto piece = [&](std::int64_t p) { work(p * grain, std::min(n, (p + 1) * grain)); };
  if (pool != nullptr && pieces > 1 && static_cast<double>(n) * nanoseconds_each >= kWorthwhileNanoseconds) {
    pool->run(pieces, piece);
  } else {
    for (std::int64_t p = 0; p < pieces; ++p) piece(p);
  }
}

/// Rows per piece for rows of `width` elements: pieces of about 16 K elements.
constexpr std::int64_t rows_per_piece(std::int64_t width) {
  return std::max<std::int64_t>(1, 16384 / std::max<std::int64_t>(1, width));
}

/// Calls work(row) for rows 0 .. n-1 of `width` elements each.
template <class Work>
void for_rows(ThreadPool* pool, std::int64_t n, std::int64_t width, double nanoseconds_each, const Work& work) {
  for_pieces(pool, n, rows_per_piece(width), nanoseconds_each, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) work(row);
  });
}

/// Calls work(T{}) with the type T that `dtype` names; other types than f32 and f64 are an Error.
template <class Work>
void for_float(const char* op, DType dtype, const Work& work) {
  if (dtype == DType::f32) return work(float{});
  if (dtype == DType::f64) return work(double{});
  fail("[", op, "] computes in f32 or f64 on the cpu, got ", dtype);
}

}  // namespace alma
