#include <malloc.h>

#include <Eigen/Core>
#include <fstream>
#include <string>

#include "kernels/cpu/cpu_backend.h"

namespace alma {
namespace {

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown processor";
}

void prepare_process() {
  // Eigen packs into malloc'ed buffers; above the default thresholds glibc maps and unmaps them on every product, which
  // costs more than the product.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  // Eigen cuts k by the caches it finds, so sums would differ between processors of one level.
  Eigen::setCpuCacheSizes(32 << 10, 512 << 10, 8 << 20);
}

}  // namespace

BackendInfo CpuBackend::info() const {
  const std::string eigen = std::to_string(EIGEN_WORLD_VERSION) + "." + std::to_string(EIGEN_MAJOR_VERSION) + "." +
                            std::to_string(EIGEN_MINOR_VERSION);
  return {"cpu", ALMA_CPU_LEVEL, processor_name(), "Eigen " + eigen};
}

}  // namespace alma

extern "C" __attribute__((visibility("default"))) alma::Backend* alma_backend_create(const alma::BackendOptions& options,
                                                                                     int abi) {
  if (abi != alma::kBackendAbi)
    alma::fail("[open_backend] the cpu library has ABI ", alma::kBackendAbi, ", the program ", abi, ": build them together");
  alma::prepare_process();
  return new alma::CpuBackend(options);
}
