#include "kernels/cuda/gemm.h"

#include <algorithm>

#include "kernels/cuda/alignment.h"
#include "kernels/cuda/checked.h"

namespace alma {
namespace {

// NVIDIA's advice: 32 MiB from Hopper (sm_90) on, 4 MiB before.
constexpr std::size_t kWorkspaceHopper = std::size_t{32} << 20;
constexpr std::size_t kWorkspaceBefore = std::size_t{4} << 20;

// A mask is a matrix of bits, whose columns begin at multiples of this.
constexpr std::int64_t kMaskAlignmentBits = 128;

// The library's own default, and what cudaMalloc() gives.
constexpr std::uint32_t kMostAlignment = 256;

// The same for every matrix of a batch.
std::uint32_t alignment_of_all(const void* memory, bool one, std::int64_t stride, DType dtype) {
  const std::size_t step = one ? 0 : static_cast<std::size_t>(stride) * size_of(dtype);
  return std::min(alignment_of(memory, kMostAlignment), alignment_of(reinterpret_cast<const void*>(step), kMostAlignment));
}

template <class T>
void set(cublasLtMatmulDesc_t operation, cublasLtMatmulDescAttributes_t name, const T& value) {
  ALMA_CHECKED(cublasLtMatmulDescSetAttribute(operation, name, &value, sizeof value));
}
template <class T>
void set(cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t name, const T& value) {
  ALMA_CHECKED(cublasLtMatmulPreferenceSetAttribute(preference, name, &value, sizeof value));
}
template <class T>
void set(cublasLtMatrixLayout_t layout, cublasLtMatrixLayoutAttribute_t name, const T& value) {
  ALMA_CHECKED(cublasLtMatrixLayoutSetAttribute(layout, name, &value, sizeof value));
}

// A row-major [rows, columns] matrix is a column-major [columns, rows] one; stored transposed, the other way round.
cublasLtMatrixLayout_t make_layout(std::int64_t batch, bool one, std::int64_t rows, std::int64_t columns, bool transposed,
                                   DType dtype) {
  const std::int64_t run = transposed ? rows : columns, runs = transposed ? columns : rows;
  cublasLtMatrixLayout_t layout = nullptr;
  ALMA_CHECKED(cublasLtMatrixLayoutCreate(&layout, dtype == DType::bf16 ? CUDA_R_16BF : CUDA_R_32F,
                                          static_cast<std::uint64_t>(run), static_cast<std::uint64_t>(runs), run));
  if (batch > 1) {
    set(layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, static_cast<std::int32_t>(batch));
    set(layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, one ? std::int64_t{0} : rows * columns);
  }
  return layout;
}

cublasLtEpilogue_t epilogue_of(const Gemm::Call& call) {
  if (call.masked) return call.column_sums != nullptr ? CUBLASLT_EPILOGUE_DRELU_BGRAD : CUBLASLT_EPILOGUE_DRELU;
  if (call.sums_of_a != nullptr) return CUBLASLT_EPILOGUE_BGRADB;  // our A is the library's B
  if (call.mask != nullptr) return call.bias != nullptr ? CUBLASLT_EPILOGUE_RELU_AUX_BIAS : CUBLASLT_EPILOGUE_RELU_AUX;
  if (call.bias != nullptr) return call.relu ? CUBLASLT_EPILOGUE_RELU_BIAS : CUBLASLT_EPILOGUE_BIAS;
  return call.relu ? CUBLASLT_EPILOGUE_RELU : CUBLASLT_EPILOGUE_DEFAULT;
}

bool is_optional(cublasLtEpilogue_t epilogue) {
  return epilogue == CUBLASLT_EPILOGUE_DRELU_BGRAD || epilogue == CUBLASLT_EPILOGUE_DRELU ||
         epilogue == CUBLASLT_EPILOGUE_BGRADB || epilogue == CUBLASLT_EPILOGUE_RELU_AUX_BIAS ||
         epilogue == CUBLASLT_EPILOGUE_RELU_AUX;
}

// The vector that the epilogue adds or leaves.
const void* bias_of(const Gemm::Call& call) {
  if (call.column_sums != nullptr) return call.column_sums;
  return call.sums_of_a != nullptr ? call.sums_of_a : call.bias;
}

std::int64_t mask_leading_bits(std::int64_t n) {
  return (n + kMaskAlignmentBits - 1) / kMaskAlignmentBits * kMaskAlignmentBits;
}

// What differs from call to call of one plan.
void set_pointers(cublasLtMatmulDesc_t operation, const Gemm::Call& call) {
  if (const void* bias = bias_of(call); bias != nullptr) set(operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
  if (call.mask != nullptr) set(operation, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, call.mask);
}

}  // namespace

struct Gemm::Plan {
  cublasLtMatmulDesc_t operation = nullptr;
  cublasLtMatrixLayout_t a = nullptr, b = nullptr, c = nullptr;
  cublasLtMatmulAlgo_t algorithm{};

  ~Plan() {
    for (cublasLtMatrixLayout_t layout : {a, b, c})
      if (layout != nullptr) cublasLtMatrixLayoutDestroy(layout);
    if (operation != nullptr) cublasLtMatmulDescDestroy(operation);
  }
};

Gemm::Gemm(cudaStream_t stream, int compute_major)
    : stream_(stream), workspace_bytes_(compute_major >= 9 ? kWorkspaceHopper : kWorkspaceBefore) {
  ALMA_CHECKED(cublasLtCreate(&handle_));
}

Gemm::~Gemm() {
  plans_.clear();
  if (workspace_ != nullptr) cudaFreeAsync(workspace_, stream_);
  cublasLtDestroy(handle_);
}

std::size_t Gemm::mask_bytes(std::int64_t m, std::int64_t n) {
  return static_cast<std::size_t>(m * (mask_leading_bits(n) / 8));
}

Gemm::Key Gemm::key_of(const Call& call) {
  const std::uint32_t c = alignment_of_all(call.c, call.batch == 1, call.m * call.n, call.result);
  const std::uint32_t bias = alignment_of_all(bias_of(call), call.one_bias, call.n, call.result);
  return {call.batch,
          call.m,
          call.n,
          call.k,
          call.transpose_a,
          call.transpose_b,
          call.one_a,
          call.one_b,
          call.one_bias,
          call.accumulate,
          call.operands,
          call.result,
          call.math,
          epilogue_of(call),
          alignment_of_all(call.a, call.one_a, call.m * call.k, call.operands),
          alignment_of_all(call.b, call.one_b, call.k * call.n, call.operands),
          c,
          std::min({c, bias, alignment_of(call.mask, kMostAlignment)})};
}

// cuBLASLt thinks in columns, and its bias runs along them. Read as column-major, the memory of a row-major C is C
// transposed: C^T [n, m] = op(B)^T op(A)^T. So B is the library's first operand, A the second, and bias [n] fits.
std::unique_ptr<Gemm::Plan> Gemm::make_plan(const Key& key, const Call& call) const {
  auto plan = std::make_unique<Plan>();
  ALMA_CHECKED(cublasLtMatmulDescCreate(
      &plan->operation, key.math == Math::tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUDA_R_32F));
  set(plan->operation, CUBLASLT_MATMUL_DESC_TRANSA, key.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N);
  set(plan->operation, CUBLASLT_MATMUL_DESC_TRANSB, key.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N);
  set(plan->operation, CUBLASLT_MATMUL_DESC_EPILOGUE, key.epilogue);
  if (!key.one_bias) set(plan->operation, CUBLASLT_MATMUL_DESC_BIAS_BATCH_STRIDE, key.n);
  if (call.mask != nullptr) set(plan->operation, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, mask_leading_bits(key.n));
  set_pointers(plan->operation, call);
  plan->a = make_layout(key.batch, key.one_a, key.m, key.k, key.transpose_a, key.operands);
  plan->b = make_layout(key.batch, key.one_b, key.k, key.n, key.transpose_b, key.operands);
  plan->c = make_layout(key.batch, false, key.m, key.n, false, key.result);

  cublasLtMatmulPreference_t made = nullptr;
  ALMA_CHECKED(cublasLtMatmulPreferenceCreate(&made));
  const auto destroy = [](cublasLtMatmulPreference_t p) { cublasLtMatmulPreferenceDestroy(p); };
  const std::unique_ptr<cublasLtMatmulPreferenceOpaque_t, decltype(destroy)> preference(made, destroy);
  set(made, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, std::uint64_t{workspace_bytes_});
  // Where k is split, the parts are added in f32, not in the result's type.
  set(made, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, std::uint32_t{CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE});
  set(made, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, key.b_alignment);
  set(made, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, key.a_alignment);
  set(made, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, key.c_alignment);
  set(made, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, key.d_alignment);

  cublasLtMatmulHeuristicResult_t result{};
  int found = 0;
  const cublasStatus_t status =
      cublasLtMatmulAlgoGetHeuristic(handle_, plan->operation, plan->b, plan->a, plan->c, plan->c, made, 1, &result, &found);
  if (status == CUBLAS_STATUS_NOT_SUPPORTED || found == 0) {
    if (is_optional(key.epilogue)) return nullptr;
    fail("[matmul] cuBLASLt knows no algorithm for ", key.m, " x ", key.n, " x ", key.k, " with ", key.operands,
         " operands and math ", name_of(key.math));
  }
  check_status(status, "cublasLtMatmulAlgoGetHeuristic");
  plan->algorithm = result.algo;
  return plan;
}

Gemm::Plan* Gemm::plan_for(const Call& call) {
  const Key key = key_of(call);
  auto found = plans_.find(key);
  if (found == plans_.end()) found = plans_.emplace(key, make_plan(key, call)).first;
  return found->second.get();
}

bool Gemm::run(const Call& call) {
  Plan* plan = plan_for(call);
  if (plan == nullptr) return false;
  if (workspace_ == nullptr) ALMA_CHECKED(cudaMallocAsync(&workspace_, workspace_bytes_, stream_));
  set_pointers(plan->operation, call);
  const float alpha = 1, beta = call.accumulate ? 1.0f : 0.0f;
  ALMA_CHECKED(cublasLtMatmul(handle_, plan->operation, &alpha, call.b, plan->b, call.a, plan->a, &beta, call.c, plan->c,
                              call.c, plan->c, &plan->algorithm, workspace_, workspace_bytes_, stream_));
  return true;
}

}  // namespace alma
