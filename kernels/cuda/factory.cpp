// What libalma_cuda.so exports.
#include "kernels/backend_library.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/device.h"

extern "C" __attribute__((visibility("default"))) alma::Backend* alma_backend_create(const alma::BackendOptions& options,
                                                                                     int abi) {
  if (abi != alma::kBackendAbi)
    alma::fail("[cuda] the backend library has interface ", alma::kBackendAbi, ", the program ", abi, "; rebuild both");
  const std::string device = alma::device_name("cuda", options.gpu);
  alma::use_gpu(device, options.gpu);
  return new alma::CudaBackend(device, options.gpu);
}
