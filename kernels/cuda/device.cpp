#include "kernels/cuda/device.h"

#include "kernels/cuda/checked.h"

namespace alma {
namespace {

constexpr int kOldestMajor = 8;  // sm_80, Ampere

template <class... Parts>
[[noreturn]] void refuse(const std::string& device, const Parts&... parts) {
  fail(ErrorKind::usage, "[", device, "] ", parts...);
}

}  // namespace

std::string cuda_version(int number) { return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10); }

std::string device_name(const std::string& kind, int index) {
  return index == 0 ? kind : kind + ":" + std::to_string(index);
}

cudaError_t make_current(int index) {
  thread_local int current = -1;
  if (index == current) return cudaSuccess;
  const cudaError_t status = cudaSetDevice(index);
  if (status == cudaSuccess) current = index;
  return status;
}

void use_gpu(const std::string& device, int index) {
  int driver = 0, count = 0;
  ALMA_CHECKED(cudaDriverGetVersion(&driver));
  if (driver == 0)
    refuse(device, "there is no NVIDIA driver on this machine; install one for CUDA ", cuda_version(CUDART_VERSION),
           " or use --device cpu");
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaErrorInsufficientDriver)
    refuse(device, "the NVIDIA driver supports CUDA ", cuda_version(driver), ", this build needs ",
           cuda_version(CUDART_VERSION), "; update the driver or use --device cpu");
  if (status == cudaErrorNoDevice || (status == cudaSuccess && count == 0))
    refuse(device, "no GPU found; look at what nvidia-smi lists and at CUDA_VISIBLE_DEVICES, or use --device cpu");
  check_status(status, "cudaGetDeviceCount");
  if (index >= count)
    refuse(device, "this machine has ", count, count == 1 ? " GPU" : " GPUs", ", numbered from 0, so there is no number ",
           index, "; look at what nvidia-smi lists and at CUDA_VISIBLE_DEVICES");
  cudaDeviceProp properties{};
  ALMA_CHECKED(cudaGetDeviceProperties(&properties, index));
  if (properties.major < kOldestMajor)
    refuse(device, "the GPU ", properties.name, " is sm_", properties.major, properties.minor,
           ", this build needs sm_80 (Ampere) or newer; use --device cpu");
  ALMA_CHECKED(make_current(index));
}

}  // namespace alma
