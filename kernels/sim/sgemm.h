#pragma once
#include <cstdint>

#include "base/thread_pool.h"

namespace alma::sim {

/// Element (i, j) lies at data[i * row_stride + j * column_stride].
template <class T>
struct Strided {
  T* data = nullptr;
  std::int64_t row_stride = 0, column_stride = 0;
  T& operator()(std::int64_t i, std::int64_t j) const { return data[i * row_stride + j * column_stride]; }
};

/// D [m, n] = finish(alpha * A [m, k] B [k, n] + beta * C), finish = + bias[i], then max(0, .) where asked.
struct Product {
  std::int64_t m = 0, n = 0, k = 0;
  float alpha = 1, beta = 0;
  Strided<const float> a, b, c;  // c is read when beta is not 0, and may be d
  Strided<float> d;
  const float* bias = nullptr;  // [m] or null
  bool relu = false;
};

/// Every element is one chain of fused multiply-adds in order of k, so results do not depend on the pool (null: none).
void sgemm(const Product& product, ThreadPool* pool);

}  // namespace alma::sim
