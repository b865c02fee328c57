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

}  // namespace

BackendInfo CpuBackend::info() const { return {"cpu", ALMA_CPU_LEVEL, processor_name(), "", true, 0, why_}; }

}  // namespace alma

extern "C" __attribute__((visibility("default"))) alma::Backend* alma_backend_create(const alma::BackendOptions& options,
                                                                                     int abi) {
  if (abi != alma::kBackendAbi)
    alma::fail("[open_backend] the cpu library has ABI ", alma::kBackendAbi, ", the program ", abi, ": build them together");
  return new alma::CpuBackend(options);
}
