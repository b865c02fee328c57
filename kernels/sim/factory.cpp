// What libalma_cuda_sim.so exports. Compiled for every x86-64 processor, while the rest of the library is not: the check
// comes before anything else.
#include "kernels/backend_library.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/device.h"
#include "kernels/sim/control.h"
#include "kernels/sim/stream.h"

namespace {

#if defined(__x86_64__)
bool processor_fits() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
}
#else
bool processor_fits() { return true; }
#endif

}  // namespace

extern "C" __attribute__((visibility("default"))) alma::Backend* alma_backend_create(const alma::BackendOptions& options,
                                                                                     int abi) {
  if (!processor_fits())
    throw alma::Error(alma::ErrorKind::usage,
                      "cuda-sim: the simulator is built for x86-64-v3 (AVX2 and FMA), which this processor lacks; use "
                      "--device cpu");
  if (abi != alma::kBackendAbi)
    alma::fail("[cuda-sim] the backend library has interface ", alma::kBackendAbi, ", the program ", abi, "; rebuild both");
  alma::sim::schedule();  // refuses a wrong ALMA_SIM_ORDER now, not in the middle of a run
  const std::string device = alma::device_name("cuda-sim", options.gpu);
  alma::use_gpu(device, options.gpu);
  auto backend = std::make_unique<alma::CudaBackend>(device, options.gpu);
  alma::sim::set_pool(backend->stream(), options.pool);
  return backend.release();
}
