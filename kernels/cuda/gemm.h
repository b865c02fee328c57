#pragma once
#include <cublasLt.h>
#include <cuda_runtime_api.h>

#include <compare>
#include <cstdint>
#include <map>
#include <memory>

namespace alma {

/// Row-major products by cuBLASLt: C [m, n] = op(A) op(B). Plans (layouts and algorithm) are kept by shape; the algorithm is
/// the first that the library's heuristic names, never one that was timed, so that a product has the same bits in each run.
class Gemm {
 public:
  struct Call {
    std::int64_t m = 0, n = 0, k = 0;  // >= 1
    bool transpose_a = false, transpose_b = false;
    const float* a = nullptr;
    const float* b = nullptr;
    float* c = nullptr;
    const float* bias = nullptr;  // [n] or null
    bool relu = false, accumulate = false;
  };

  /// `compute_major`: first number of the compute capability, which decides how much workspace is worth having.
  Gemm(cudaStream_t stream, int compute_major);
  ~Gemm();
  Gemm(const Gemm&) = delete;
  Gemm& operator=(const Gemm&) = delete;

  void run(const Call& call);

 private:
  /// Everything that the choice of the algorithm depends on.
  struct Key {
    std::int64_t m, n, k;
    bool transpose_a, transpose_b, bias, relu, accumulate;
    std::uint32_t a_alignment, b_alignment, c_alignment;
    std::uint32_t d_alignment;  // the library's name for C as it is written; also holds for the bias
    auto operator<=>(const Key&) const = default;
  };
  struct Plan;

  std::unique_ptr<Plan> make_plan(const Key& key, const float* bias) const;

  cudaStream_t stream_;
  std::size_t workspace_bytes_;
  void* workspace_ = nullptr;
  cublasLtHandle_t handle_ = nullptr;
  std::map<Key, std::unique_ptr<Plan>> plans_;
};

}  // namespace alma
