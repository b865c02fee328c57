// The cuBLASLt functions that kernels/cuda/gemm.cpp calls, with the conventions of the real ones: column-major order unless
// a layout says otherwise, leading dimensions, transposes, epilogues, alignments promised to the heuristic. Anything else is
// refused with an Error that names it. f32 with f32 arithmetic is what there is.
#include <cublasLt.h>

#include <algorithm>
#include <cstring>

#include "kernels/error.h"
#include "kernels/sim/control.h"
#include "kernels/sim/handles.h"
#include "kernels/sim/memory.h"
#include "kernels/sim/sgemm.h"
#include "kernels/sim/stream.h"
#include "kernels/sim/stream_order.h"

namespace alma::sim {
namespace {

struct Library {};

struct Operation {
  cublasOperation_t transpose_a = CUBLAS_OP_N, transpose_b = CUBLAS_OP_N;
  cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  const float* bias = nullptr;
};

struct Layout {
  std::uint64_t rows = 0, columns = 0;
  std::int64_t leading = 0;
  cublasLtOrder_t order = CUBLASLT_ORDER_COL;

  std::uint64_t run() const { return order == CUBLASLT_ORDER_COL ? rows : columns; }
  std::uint64_t runs() const { return order == CUBLASLT_ORDER_COL ? columns : rows; }
  std::size_t bytes() const { return ((runs() - 1) * static_cast<std::uint64_t>(leading) + run()) * sizeof(float); }
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

auto& libraries() { return all_handles<cublasLtHandle_t, Library>(); }
auto& operations() { return all_handles<cublasLtMatmulDesc_t, Operation>(); }
auto& layouts() { return all_handles<cublasLtMatrixLayout_t, Layout>(); }
auto& preferences() { return all_handles<cublasLtMatmulPreference_t, Preference>(); }

/// What the heuristic promises and cublasLtMatmul() holds it to; lies inside the opaque algorithm.
struct Algorithm {
  std::uint64_t magic = 0x616c6d612d73696d;
  std::uint64_t m = 0, n = 0, k = 0;
  std::uint32_t alignment[4] = {};
  std::uint64_t workspace = 0;
  std::uint64_t epilogue = 0;
};
static_assert(sizeof(Algorithm) <= sizeof(cublasLtMatmulAlgo_t));

// The simulated algorithm needs none, but says so: memory that is too small or not the device's is then noticed.
constexpr std::uint64_t kWorkspace = 64 * 1024;

template <class T>
T attribute(const void* value, std::size_t bytes, const char* call) {
  if (value == nullptr || bytes != sizeof(T)) fail("[", call, "] the attribute has ", sizeof(T), " bytes, got ", bytes);
  T result;
  std::memcpy(&result, value, sizeof result);
  return result;
}

bool has_bias(cublasLtEpilogue_t epilogue) {
  return epilogue == CUBLASLT_EPILOGUE_BIAS || epilogue == CUBLASLT_EPILOGUE_RELU_BIAS;
}

// The sizes of the product, if operation and layouts agree.
Algorithm problem(const char* call, const Operation& operation, const Layout& a, const Layout& b, const Layout& c,
                  const Layout& d) {
  const bool ta = operation.transpose_a != CUBLAS_OP_N, tb = operation.transpose_b != CUBLAS_OP_N;
  Algorithm sizes;
  sizes.m = ta ? a.columns : a.rows;
  sizes.k = ta ? a.rows : a.columns;
  sizes.n = tb ? b.rows : b.columns;
  sizes.epilogue = operation.epilogue;
  const std::uint64_t k_of_b = tb ? b.columns : b.rows;
  if (sizes.m == 0 || sizes.n == 0 || sizes.k == 0)
    fail("[", call, "] empty product: m ", sizes.m, ", n ", sizes.n, ", k ", sizes.k);
  if (k_of_b != sizes.k) fail("[", call, "] inner sizes differ: op(A) has ", sizes.k, " columns, op(B) ", k_of_b, " rows");
  for (const Layout* x : {&c, &d}) {
    if (x->rows != sizes.m || x->columns != sizes.n)
      fail("[", call, "] ", x == &c ? "C" : "D", " must be ", sizes.m, " x ", sizes.n, ", got ", x->rows, " x ", x->columns);
  }
  const Layout* all[] = {&a, &b, &c, &d};
  for (int i = 0; i < 4; ++i) {
    if (all[i]->leading < static_cast<std::int64_t>(all[i]->run()))
      fail("[", call, "] the leading dimension of ", "ABCD"[i], " must be at least ", all[i]->run(), ", got ",
           all[i]->leading);
  }
  switch (operation.epilogue) {
    case CUBLASLT_EPILOGUE_DEFAULT:
    case CUBLASLT_EPILOGUE_RELU:
    case CUBLASLT_EPILOGUE_BIAS:
    case CUBLASLT_EPILOGUE_RELU_BIAS: break;
    default: fail("[", call, "] epilogue ", static_cast<int>(operation.epilogue), " is not simulated");
  }
  return sizes;
}

bool overlap(const void* a, std::size_t a_bytes, const void* b, std::size_t b_bytes) {
  const auto* p = static_cast<const char*>(a);
  const auto* q = static_cast<const char*>(b);
  return p < q + b_bytes && q < p + a_bytes;
}

struct Memory {
  const void* pointer;
  const Layout* layout;
  char name;
  Use use;
};

void check_memory(const char* call, const Memory (&memory)[4], const Algorithm& algorithm, StreamWork& work) {
  for (int i = 0; i < 4; ++i) {
    const Layout& layout = *memory[i].layout;
    const std::string what(1, memory[i].name);
    work.touches(memory[i].pointer, layout.run() * sizeof(float), layout.runs(),
                 static_cast<std::size_t>(layout.leading) * sizeof(float), what.c_str(), memory[i].use);
    if (reinterpret_cast<std::uintptr_t>(memory[i].pointer) % algorithm.alignment[i] != 0)
      fail("[", call, "] ", what, " is not aligned to ", algorithm.alignment[i], " bytes, as the heuristic was told");
  }
  for (int i = 0; i < 2; ++i) {
    if (overlap(memory[i].pointer, memory[i].layout->bytes(), memory[3].pointer, memory[3].layout->bytes()))
      fail("[", call, "] D overlaps ", memory[i].name);
  }
}

}  // namespace
}  // namespace alma::sim

using namespace alma::sim;

extern "C" {

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  *handle = libraries().make();
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
  libraries().destroy(handle, "cublasLtDestroy");
  return CUBLAS_STATUS_SUCCESS;
}
std::size_t cublasLtGetVersion() { return CUBLAS_VER_MAJOR * 10000 + CUBLAS_VER_MINOR * 100 + CUBLAS_VER_PATCH; }
const char* cublasLtGetStatusString(cublasStatus_t status) {
  return status == CUBLAS_STATUS_SUCCESS ? "success" : "a status that the simulator does not return";
}

// ---- operation
// --------------------------------------------------------------------------------------------------------------
cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* operation, cublasComputeType_t compute, cudaDataType_t scale) {
  if (compute != CUBLAS_COMPUTE_32F || scale != CUDA_R_32F)
    alma::fail("[cublasLtMatmulDescCreate] only f32 arithmetic is simulated, got compute type ", static_cast<int>(compute),
               " and scale type ", static_cast<int>(scale));
  *operation = operations().make();
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t operation) {
  operations().destroy(operation, "cublasLtMatmulDescDestroy");
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t handle, cublasLtMatmulDescAttributes_t name,
                                              const void* value, std::size_t bytes) {
  const char* call = "cublasLtMatmulDescSetAttribute";
  Operation& operation = operations().get(handle, call);
  switch (name) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
    case CUBLASLT_MATMUL_DESC_TRANSB: {
      const auto transpose = attribute<cublasOperation_t>(value, bytes, call);
      if (transpose != CUBLAS_OP_N && transpose != CUBLAS_OP_T)
        alma::fail("[", call, "] operation ", static_cast<int>(transpose), " is not simulated");
      (name == CUBLASLT_MATMUL_DESC_TRANSA ? operation.transpose_a : operation.transpose_b) = transpose;
      break;
    }
    case CUBLASLT_MATMUL_DESC_EPILOGUE: operation.epilogue = attribute<cublasLtEpilogue_t>(value, bytes, call); break;
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER: operation.bias = attribute<const float*>(value, bytes, call); break;
    default: alma::fail("[", call, "] attribute ", static_cast<int>(name), " is not simulated");
  }
  return CUBLAS_STATUS_SUCCESS;
}

// ---- layouts
// ----------------------------------------------------------------------------------------------------------------
cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType type, std::uint64_t rows,
                                          std::uint64_t columns, std::int64_t leading) {
  if (type != CUDA_R_32F)
    alma::fail("[cublasLtMatrixLayoutCreate] only f32 is simulated, got type ", static_cast<int>(type));
  *layout = layouts().make({rows, columns, leading, CUBLASLT_ORDER_COL});
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  layouts().destroy(layout, "cublasLtMatrixLayoutDestroy");
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t handle, cublasLtMatrixLayoutAttribute_t name,
                                                const void* value, std::size_t bytes) {
  const char* call = "cublasLtMatrixLayoutSetAttribute";
  Layout& layout = layouts().get(handle, call);
  if (name != CUBLASLT_MATRIX_LAYOUT_ORDER)
    alma::fail("[", call, "] attribute ", static_cast<int>(name), " is not simulated");
  const auto order = static_cast<cublasLtOrder_t>(attribute<std::int32_t>(value, bytes, call));
  if (order != CUBLASLT_ORDER_COL && order != CUBLASLT_ORDER_ROW)
    alma::fail("[", call, "] order ", static_cast<int>(order), " is not simulated");
  layout.order = order;
  return CUBLAS_STATUS_SUCCESS;
}

// ---- heuristic
// --------------------------------------------------------------------------------------------------------------
cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  *preference = preferences().make();
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  preferences().destroy(preference, "cublasLtMatmulPreferenceDestroy");
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t handle,
                                                    cublasLtMatmulPreferenceAttributes_t name, const void* value,
                                                    std::size_t bytes) {
  const char* call = "cublasLtMatmulPreferenceSetAttribute";
  Preference& preference = preferences().get(handle, call);
  switch (name) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
      preference.workspace = attribute<std::uint64_t>(value, bytes, call);
      break;
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES: {
      const auto alignment = attribute<std::uint32_t>(value, bytes, call);
      if (alignment < sizeof(float) || (alignment & (alignment - 1)) != 0)
        alma::fail("[", call, "] an alignment is a power of two from 4 on, got ", alignment);
      preference.alignment[name - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES] = alignment;
      break;
    }
    default: alma::fail("[", call, "] attribute ", static_cast<int>(name), " is not simulated");
  }
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t operation_handle,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c,
                                              cublasLtMatrixLayout_t d, cublasLtMatmulPreference_t preference_handle,
                                              int requested, cublasLtMatmulHeuristicResult_t results[], int* found) {
  const char* call = "cublasLtMatmulAlgoGetHeuristic";
  libraries().get(handle, call);
  const Preference& preference = preferences().get(preference_handle, call);
  if (requested < 1) alma::fail("[", call, "] at least one result must be asked for, got ", requested);
  Algorithm algorithm = problem(call, operations().get(operation_handle, call), layouts().get(a, call),
                                layouts().get(b, call), layouts().get(c, call), layouts().get(d, call));
  std::copy(std::begin(preference.alignment), std::end(preference.alignment), algorithm.alignment);
  algorithm.workspace = std::min(kWorkspace, preference.workspace);
  results[0] = {};
  std::memcpy(&results[0].algo, &algorithm, sizeof algorithm);
  results[0].workspaceSize = algorithm.workspace;
  results[0].state = CUBLAS_STATUS_SUCCESS;
  results[0].wavesCount = 1;
  *found = 1;
  return CUBLAS_STATUS_SUCCESS;
}

// ---- product
// ----------------------------------------------------------------------------------------------------------------
cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t operation_handle, const void* alpha,
                              const void* A, cublasLtMatrixLayout_t a_handle, const void* B, cublasLtMatrixLayout_t b_handle,
                              const void* beta, const void* C, cublasLtMatrixLayout_t c_handle, void* D,
                              cublasLtMatrixLayout_t d_handle, const cublasLtMatmulAlgo_t* algo, void* workspace,
                              std::size_t workspace_bytes, cudaStream_t stream) {
  const char* call = "cublasLtMatmul";
  libraries().get(handle, call);
  const Operation& operation = operations().get(operation_handle, call);
  const Layout &a = layouts().get(a_handle, call), &b = layouts().get(b_handle, call), &c = layouts().get(c_handle, call),
               &d = layouts().get(d_handle, call);
  const Algorithm sizes = problem(call, operation, a, b, c, d);
  if (algo == nullptr) alma::fail("[", call, "] no algorithm given");
  Algorithm algorithm;
  std::memcpy(static_cast<void*>(&algorithm), algo, sizeof algorithm);
  if (algorithm.magic != sizes.magic) alma::fail("[", call, "] the algorithm does not come from the heuristic");
  if (algorithm.m != sizes.m || algorithm.n != sizes.n || algorithm.k != sizes.k || algorithm.epilogue != sizes.epilogue)
    alma::fail("[", call, "] the algorithm was chosen for another problem: ", algorithm.m, " x ", algorithm.n, " x ",
               algorithm.k, " instead of ", sizes.m, " x ", sizes.n, " x ", sizes.k);
  if (algorithm.workspace > workspace_bytes)
    alma::fail("[", call, "] the algorithm needs ", algorithm.workspace, " bytes of workspace, got ", workspace_bytes);
  StreamWork work(stream, call);
  if (algorithm.workspace > 0) {
    work.touches(workspace, workspace_bytes, 1, workspace_bytes, "the workspace", Use::write);
    std::memset(workspace, 0xff, algorithm.workspace);
  }
  require_host(alpha, call, "alpha");
  require_host(beta, call, "beta");
  const Use use_of_c = *static_cast<const float*>(beta) == 0 ? Use::none : Use::read;
  check_memory(call, {{A, &a, 'A', Use::read}, {B, &b, 'B', Use::read}, {C, &c, 'C', use_of_c}, {D, &d, 'D', Use::write}},
               algorithm, work);
  if (has_bias(operation.epilogue))
    work.touches(operation.bias, sizes.m * sizeof(float), 1, sizes.m * sizeof(float), "the bias", Use::read);

  Product product;
  product.m = static_cast<std::int64_t>(sizes.m);
  product.n = static_cast<std::int64_t>(sizes.n);
  product.k = static_cast<std::int64_t>(sizes.k);
  product.alpha = *static_cast<const float*>(alpha);
  product.beta = *static_cast<const float*>(beta);
  product.a = a.over(static_cast<const float*>(A), operation.transpose_a != CUBLAS_OP_N);
  product.b = b.over(static_cast<const float*>(B), operation.transpose_b != CUBLAS_OP_N);
  product.c = c.over(static_cast<const float*>(C));
  product.d = d.over(static_cast<float*>(D));
  product.bias = has_bias(operation.epilogue) ? operation.bias : nullptr;
  product.relu = operation.epilogue == CUBLASLT_EPILOGUE_RELU || operation.epilogue == CUBLASLT_EPILOGUE_RELU_BIAS;
  count_launch();
  sgemm(product, pool_of(stream));
  return CUBLAS_STATUS_SUCCESS;
}
}
