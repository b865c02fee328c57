// What libalma_cuda.so exports.
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/device.h"

extern "C" __attribute__((visibility("default"))) alma::Backend* alma_backend_create(const alma::BackendOptions&, int abi) {
  if (abi != alma::kBackendAbi)
    alma::fail("[cuda] the backend library has interface ", alma::kBackendAbi, ", the program ", abi, "; rebuild both");
  alma::use_first_gpu("cuda");
  return new alma::CudaBackend("cuda");
}
