#pragma once
// What stands behind the opaque handles of the simulated cuBLASLt.
#include <cublasLt.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "kernels/sim/handles.h"
#include "kernels/sim/sgemm.h"

namespace alma::sim {

struct Library {};

struct Operation {
  cublasComputeType_t compute = CUBLAS_COMPUTE_32F;
  cublasOperation_t transpose_a = CUBLAS_OP_N, transpose_b = CUBLAS_OP_N;
  cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  void* bias = nullptr;
  std::int64_t bias_stride = 0;  // elements, from matrix to matrix of a batch
  void* aux = nullptr;
  std::int64_t aux_leading = 0;  // bits
};

struct Layout {
  cudaDataType type = CUDA_R_32F;
  std::uint64_t rows = 0, columns = 0;
  std::int64_t leading = 0;
  cublasLtOrder_t order = CUBLASLT_ORDER_COL;
  std::int32_t batch = 1;
  std::int64_t stride = 0;  // elements

  std::size_t element_size() const { return type == CUDA_R_16BF ? 2 : 4; }
  std::uint64_t run() const { return order == CUBLASLT_ORDER_COL ? rows : columns; }
  std::uint64_t runs() const { return order == CUBLASLT_ORDER_COL ? columns : rows; }
  /// Elements from the first to the last of one matrix.
  std::uint64_t extent() const { return (runs() - 1) * static_cast<std::uint64_t>(leading) + run(); }
  std::size_t bytes() const {
    return (static_cast<std::uint64_t>(batch - 1) * static_cast<std::uint64_t>(stride) + extent()) * element_size();
  }
  template <class T>
  Strided<T> over(T* data, bool transpose = false) const {
    const bool along_rows = (order == CUBLASLT_ORDER_COL) != transpose;
    return {data, along_rows ? 1 : leading, along_rows ? leading : 1};
  }
};

struct Preference {
  std::uint64_t workspace = 0;
  std::uint32_t alignment[4] = {256, 256, 256, 256};  // of A, B, C, D
};

inline auto& libraries() { return all_handles<cublasLtHandle_t, Library>(); }
inline auto& operations() { return all_handles<cublasLtMatmulDesc_t, Operation>(); }
inline auto& layouts() { return all_handles<cublasLtMatrixLayout_t, Layout>(); }
inline auto& preferences() { return all_handles<cublasLtMatmulPreference_t, Preference>(); }

/// What an epilogue does.
struct Tail {
  bool bias, relu, mask, relu_gradient;
  enum { none, of_d, of_a, of_b } sums;

  bool gradient() const { return mask || sums != none; }
};

/// Throws Error for an epilogue that is not simulated.
Tail tail_of(cublasLtEpilogue_t epilogue, const char* call);

struct Operands {
  const Layout *a, *b, *c, *d;
  const Layout* all(int i) const { return i == 0 ? a : i == 1 ? b : i == 2 ? c : d; }
};
struct Memory {
  const void *a, *b, *c;
  void* d;
  const void* all(int i) const { return i == 0 ? a : i == 1 ? b : i == 2 ? c : d; }
};

/// The product in memory; everything has been checked.
void multiply(const Operation& operation, const Operands& operands, const Memory& memory, float alpha, float beta,
              ThreadPool* pool);

}  // namespace alma::sim
