#pragma once
#include <cstdint>

#include "base/thread_pool.h"

namespace alma {

/// C [m, n] = op(A) op(B) with the epilogue, in memory; row-major, dense.
template <class T>
struct Product {
  std::int64_t m, n, k;
  const T* a;
  bool transpose_a;
  const T* b;
  bool transpose_b;
  T* c;
  const T* bias;  // null: none
  bool relu, accumulate;
};

/// Computes a product; `pool` may be null. The order of every sum follows from the sizes alone, so that the result is the
/// same bits however the work is cut.
void multiply(ThreadPool* pool, const Product<float>& product);
void multiply(ThreadPool* pool, const Product<double>& product);  // by Eigen: f64.cpp

}  // namespace alma
