#pragma once
#include <cstdint>

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

/// Elements of scratch that small_product() needs.
template <class T>
std::int64_t small_product_scratch(const Product<T>& p);

/// Packs what is shared by all rows into the scratch; then rows [begin, end) of C may be computed by any thread. The order
/// of every sum follows from the shape alone.
template <class T>
void small_product_prepare(const Product<T>& p, T* scratch);
template <class T>
void small_product_rows(const Product<T>& p, const T* scratch, std::int64_t begin, std::int64_t end);

}  // namespace alma
