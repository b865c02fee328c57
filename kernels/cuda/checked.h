#pragma once
#include <cublasLt.h>
#include <cuda_runtime_api.h>

#include <source_location>

#include "base/error.h"

namespace alma {

/// "; what to do", or "" where the error says enough. Exported by the library of cuda, for the kernels of other libraries.
__attribute__((visibility("default"))) const char* hint_for(cudaError_t status);

/// Throws Error "[cuda] cudaMalloc(...) at backend.cpp:12: out of memory; use a smaller ..." unless the status is success.
inline void check_status(cudaError_t status, const char* call,
                         const std::source_location& site = std::source_location::current()) {
  if (status == cudaSuccess) return;
  fail("[cuda] ", call, " at ", site.file_name(), ":", site.line(), ": ", cudaGetErrorString(status), hint_for(status));
}
inline void check_status(cublasStatus_t status, const char* call,
                         const std::source_location& site = std::source_location::current()) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  fail("[cublasLt] ", call, " at ", site.file_name(), ":", site.line(), ": ", cublasLtGetStatusString(status));
}

}  // namespace alma

// A call of the CUDA runtime or of cuBLASLt that must succeed; a macro, because the message shows the call's text.
#define ALMA_CHECKED(call) ::alma::check_status((call), #call)
