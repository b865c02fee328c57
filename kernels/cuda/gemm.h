#pragma once
#include <cublasLt.h>
#include <cuda_runtime_api.h>

#include <compare>
#include <cstdint>
#include <map>
#include <memory>

#include "kernels/backend.h"

namespace alma {

/// Row-major products by cuBLASLt: C [m, n] = op(A) op(B), or a batch of them. Plans (layouts and algorithm) are kept by
/// shape; the algorithm is the first that the library's heuristic names, never one that was timed, so that a product has the
/// same bits in each run.
class Gemm {
 public:
  struct Call {
    std::int64_t batch = 1, m = 0, n = 0, k = 0;  // >= 1
    bool transpose_a = false, transpose_b = false;
    DType operands = DType::f32, result = DType::f32;  // f32 | bf16
    Math math = Math::f32;
    const void* a = nullptr;
    const void* b = nullptr;
    void* c = nullptr;
    bool one_a = false, one_b = false, one_bias = true;  // the same for the whole batch
    const void* bias = nullptr;                          // [n] or null
    bool relu = false, accumulate = false;
    void* mask = nullptr;         // with relu: written; with masked: read
    bool masked = false;          // C = 0 where the mask has no bit
    void* column_sums = nullptr;  // [n], with masked
    void* sums_of_a = nullptr;    // [m], without
  };

  /// `compute_major`: first number of the compute capability, which decides how much workspace is worth having.
  Gemm(cudaStream_t stream, int compute_major);
  ~Gemm();
  Gemm(const Gemm&) = delete;
  Gemm& operator=(const Gemm&) = delete;

  /// False if the library has no algorithm for this epilogue; nothing was done then. Throws Error if the plain product has
  /// none either.
  bool run(const Call& call);
  /// Whether run() would return true.
  bool knows(const Call& call) { return plan_for(call) != nullptr; }
  /// Size of the mask of an [m, n] result.
  static std::size_t mask_bytes(std::int64_t m, std::int64_t n);

 private:
  /// Everything that the choice of the algorithm depends on.
  struct Key {
    std::int64_t batch, m, n, k;
    bool transpose_a, transpose_b, one_a, one_b, one_bias, accumulate;
    DType operands, result;
    Math math;
    cublasLtEpilogue_t epilogue;
    std::uint32_t a_alignment, b_alignment, c_alignment;
    std::uint32_t d_alignment;  // the library's name for C as it is written; also holds for bias, sums and mask
    auto operator<=>(const Key&) const = default;
  };
  struct Plan;

  static Key key_of(const Call& call);
  Plan* plan_for(const Call& call);
  std::unique_ptr<Plan> make_plan(const Key& key, const Call& call) const;

  cudaStream_t stream_;
  std::size_t workspace_bytes_;
  void* workspace_ = nullptr;
  cublasLtHandle_t handle_ = nullptr;
  std::map<Key, std::unique_ptr<Plan>> plans_;  // null: the library knows none
};

}  // namespace alma
