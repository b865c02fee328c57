// What libalma_cuda.so exports.
#include "kernels/cuda/backend.h"
#include "kernels/cuda/checked.h"

namespace {

constexpr int kOldestMajor = 8;  // sm_80, Ampere

void require_usable_device() {
  using alma::ErrorKind;
  int driver = 0, count = 0;
  if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0)
    alma::fail(ErrorKind::usage, "cuda: no NVIDIA driver on this machine; use --device cpu or cuda-sim");
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaErrorInsufficientDriver)
    alma::fail(ErrorKind::usage, "cuda: the NVIDIA driver supports CUDA ", driver / 1000, ".", driver % 1000 / 10,
               ", this build needs ", CUDART_VERSION / 1000, ".", CUDART_VERSION % 1000 / 10, "; update the driver");
  if (status != cudaSuccess || count == 0)
    alma::fail(ErrorKind::usage, "cuda: no GPU found (", cudaGetErrorString(status), "); use --device cpu or cuda-sim");
  cudaDeviceProp properties{};
  ALMA_CHECKED(cudaGetDeviceProperties(&properties, 0));
  if (properties.major < kOldestMajor)
    alma::fail(ErrorKind::usage, "cuda: ", properties.name, " is sm_", properties.major, properties.minor,
               ", this build needs sm_80 or newer; use --device cpu");
  ALMA_CHECKED(cudaSetDevice(0));
}

}  // namespace

extern "C" __attribute__((visibility("default"))) alma::Backend* alma_backend_create(const alma::BackendOptions&, int abi) {
  if (abi != alma::kBackendAbi)
    alma::fail("[cuda] the backend library has interface ", alma::kBackendAbi, ", the program ", abi, "; rebuild both");
  require_usable_device();
  return new alma::CudaBackend("cuda");
}
