#include "kernels/cuda/gemm.h"

#include <algorithm>

#include "kernels/checks.h"
#include "kernels/cuda/backend.h"
#include "kernels/cuda/checked.h"

namespace alma {
namespace {

// NVIDIA's advice: 32 MiB from Hopper (sm_90) on, 4 MiB before.
constexpr std::size_t kWorkspaceHopper = std::size_t{32} << 20;
constexpr std::size_t kWorkspaceBefore = std::size_t{4} << 20;

// What is known about the address (null: as aligned as can be); the heuristic may choose 16-byte accesses only where they
// are legal.
std::uint32_t alignment_of(const void* memory) {
  std::uint32_t alignment = 256;
  while (reinterpret_cast<std::uintptr_t>(memory) % alignment != 0) alignment /= 2;
  return alignment;
}

template <class T>
void set(cublasLtMatmulDesc_t operation, cublasLtMatmulDescAttributes_t name, const T& value) {
  ALMA_CHECKED(cublasLtMatmulDescSetAttribute(operation, name, &value, sizeof value));
}
template <class T>
void set(cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t name, const T& value) {
  ALMA_CHECKED(cublasLtMatmulPreferenceSetAttribute(preference, name, &value, sizeof value));
}

// A row-major [rows, columns] matrix is a column-major [columns, rows] one; stored transposed, the other way round.
cublasLtMatrixLayout_t make_layout(std::int64_t rows, std::int64_t columns, bool transposed) {
  const std::int64_t run = transposed ? rows : columns, runs = transposed ? columns : rows;
  cublasLtMatrixLayout_t layout = nullptr;
  ALMA_CHECKED(cublasLtMatrixLayoutCreate(&layout, CUDA_R_32F, static_cast<std::uint64_t>(run),
                                          static_cast<std::uint64_t>(runs), run));
  return layout;
}

cublasLtEpilogue_t epilogue_for(bool bias, bool relu) {
  if (bias) return relu ? CUBLASLT_EPILOGUE_RELU_BIAS : CUBLASLT_EPILOGUE_BIAS;
  return relu ? CUBLASLT_EPILOGUE_RELU : CUBLASLT_EPILOGUE_DEFAULT;
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

// cuBLASLt thinks in columns, and its bias runs along them. Read as column-major, the memory of a row-major C is C
// transposed: C^T [n, m] = op(B)^T op(A)^T. So B is the library's first operand, A the second, and bias [n] fits.
std::unique_ptr<Gemm::Plan> Gemm::make_plan(const Key& key, const float* bias) const {
  auto plan = std::make_unique<Plan>();
  ALMA_CHECKED(cublasLtMatmulDescCreate(&plan->operation, CUBLAS_COMPUTE_32F, CUDA_R_32F));  // true f32, no TF32
  set(plan->operation, CUBLASLT_MATMUL_DESC_TRANSA, key.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N);
  set(plan->operation, CUBLASLT_MATMUL_DESC_TRANSB, key.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N);
  set(plan->operation, CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue_for(key.bias, key.relu));
  if (key.bias) set(plan->operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
  plan->a = make_layout(key.m, key.k, key.transpose_a);
  plan->b = make_layout(key.k, key.n, key.transpose_b);
  plan->c = make_layout(key.m, key.n, false);

  cublasLtMatmulPreference_t made = nullptr;
  ALMA_CHECKED(cublasLtMatmulPreferenceCreate(&made));
  const auto destroy = [](cublasLtMatmulPreference_t p) { cublasLtMatmulPreferenceDestroy(p); };
  const std::unique_ptr<cublasLtMatmulPreferenceOpaque_t, decltype(destroy)> preference(made, destroy);
  set(made, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, std::uint64_t{workspace_bytes_});
  set(made, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, key.b_alignment);
  set(made, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, key.a_alignment);
  set(made, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, key.c_alignment);
  set(made, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, key.d_alignment);

  cublasLtMatmulHeuristicResult_t result{};
  int found = 0;
  ALMA_CHECKED(cublasLtMatmulAlgoGetHeuristic(handle_, plan->operation, plan->b, plan->a, plan->c, plan->c, made, 1, &result,
                                              &found));
  if (found == 0) fail("[matmul] cuBLASLt knows no algorithm for ", key.m, " x ", key.n, " x ", key.k);
  plan->algorithm = result.algo;
  return plan;
}

void Gemm::run(const Call& call) {
  const Key key{call.m,
                call.n,
                call.k,
                call.transpose_a,
                call.transpose_b,
                call.bias != nullptr,
                call.relu,
                call.accumulate,
                alignment_of(call.a),
                alignment_of(call.b),
                alignment_of(call.c),
                std::min(alignment_of(call.c), alignment_of(call.bias))};
  std::unique_ptr<Plan>& plan = plans_[key];
  if (!plan) plan = make_plan(key, call.bias);
  if (workspace_ == nullptr) ALMA_CHECKED(cudaMallocAsync(&workspace_, workspace_bytes_, stream_));
  if (call.bias != nullptr) set(plan->operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, call.bias);
  const float alpha = 1, beta = call.accumulate ? 1.0f : 0.0f;
  ALMA_CHECKED(cublasLtMatmul(handle_, plan->operation, &alpha, call.b, plan->b, call.a, plan->a, &beta, call.c, plan->c,
                              call.c, plan->c, &plan->algorithm, workspace_, workspace_bytes_, stream_));
}

void CudaBackend::matmul(const In& a, bool transpose_a, const In& b, bool transpose_b, const Out& c,
                         const Epilogue& epilogue) {
  const check::MatmulSizes sizes = check::matmul(a, transpose_a, b, transpose_b, c, epilogue);
  require_f32("matmul", a);
  if (sizes.m == 0 || sizes.n == 0) return;
  if (sizes.k == 0) {
    if (epilogue.accumulate) return;
    fill(c, 0);
    if (epilogue.bias) binary(BinaryOp::add, c, epilogue.bias, c);
    if (epilogue.relu) unary(UnaryOp::relu, c, c);
    return;
  }
  Gemm::Call call;
  call.m = sizes.m;
  call.n = sizes.n;
  call.k = sizes.k;
  call.transpose_a = transpose_a;
  call.transpose_b = transpose_b;
  call.a = a.as<float>();
  call.b = b.as<float>();
  call.c = c.as<float>();
  call.bias = epilogue.bias.as<float>();
  call.relu = epilogue.relu;
  call.accumulate = epilogue.accumulate;
  gemm_->run(call);
}

}  // namespace alma
