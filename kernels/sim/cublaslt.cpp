// The descriptors of cuBLASLt that kernels/cuda/gemm.cpp uses, with the conventions of the real ones. Anything else is
// refused with an Error that names it.
#include "kernels/sim/cublaslt.h"

namespace alma::sim {
namespace {

template <class T>
T attribute(const void* value, std::size_t bytes, const char* call) {
  if (value == nullptr || bytes != sizeof(T)) fail("[", call, "] the attribute has ", sizeof(T), " bytes, got ", bytes);
  T result;
  std::memcpy(&result, value, sizeof result);
  return result;
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

// ---- operation ------------------------------------------------------------------------------------------------------
cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* operation, cublasComputeType_t compute, cudaDataType_t scale) {
  if ((compute != CUBLAS_COMPUTE_32F && compute != CUBLAS_COMPUTE_32F_FAST_TF32) || scale != CUDA_R_32F)
    alma::fail("[cublasLtMatmulDescCreate] only f32 arithmetic and tf32 are simulated, got compute type ",
               static_cast<int>(compute), " and scale type ", static_cast<int>(scale));
  Operation made;
  made.compute = compute;
  *operation = operations().make(made);
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
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER: operation.bias = attribute<void*>(value, bytes, call); break;
    case CUBLASLT_MATMUL_DESC_BIAS_BATCH_STRIDE: operation.bias_stride = attribute<std::int64_t>(value, bytes, call); break;
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER: operation.aux = attribute<void*>(value, bytes, call); break;
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD: operation.aux_leading = attribute<std::int64_t>(value, bytes, call); break;
    default: alma::fail("[", call, "] attribute ", static_cast<int>(name), " is not simulated");
  }
  return CUBLAS_STATUS_SUCCESS;
}

// ---- layouts --------------------------------------------------------------------------------------------------------
cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType type, std::uint64_t rows,
                                          std::uint64_t columns, std::int64_t leading) {
  if (type != CUDA_R_32F && type != CUDA_R_16BF)
    alma::fail("[cublasLtMatrixLayoutCreate] only f32 and bf16 are simulated, got type ", static_cast<int>(type));
  Layout made;
  made.type = type;
  made.rows = rows;
  made.columns = columns;
  made.leading = leading;
  *layout = layouts().make(made);
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
  switch (name) {
    case CUBLASLT_MATRIX_LAYOUT_ORDER:
      layout.order = static_cast<cublasLtOrder_t>(attribute<std::int32_t>(value, bytes, call));
      if (layout.order != CUBLASLT_ORDER_COL && layout.order != CUBLASLT_ORDER_ROW)
        alma::fail("[", call, "] order ", static_cast<int>(layout.order), " is not simulated");
      break;
    case CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT:
      layout.batch = attribute<std::int32_t>(value, bytes, call);
      if (layout.batch < 1) alma::fail("[", call, "] a batch has at least one matrix, got ", layout.batch);
      break;
    case CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET:
      layout.stride = attribute<std::int64_t>(value, bytes, call);
      if (layout.stride < 0) alma::fail("[", call, "] negative strides are not simulated, got ", layout.stride);
      break;
    default: alma::fail("[", call, "] attribute ", static_cast<int>(name), " is not simulated");
  }
  return CUBLAS_STATUS_SUCCESS;
}

// ---- preference -----------------------------------------------------------------------------------------------------
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
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:
      attribute<std::uint32_t>(value, bytes, call);  // the simulated algorithm does not split k
      break;
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES: {
      const auto alignment = attribute<std::uint32_t>(value, bytes, call);
      if (alignment < 2 || (alignment & (alignment - 1)) != 0)
        alma::fail("[", call, "] an alignment is a power of two from 2 on, got ", alignment);
      preference.alignment[name - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES] = alignment;
      break;
    }
    default: alma::fail("[", call, "] attribute ", static_cast<int>(name), " is not simulated");
  }
  return CUBLAS_STATUS_SUCCESS;
}
}
