#pragma once
#include <dlfcn.h>

#include <filesystem>
#include <memory>

#include "engine/context.h"

namespace alma::test {

/// A context on cuda-sim, or null if this build has none (no CUDA toolkit). A simulator that was built but does not open
/// throws: that is a failure, not a reason to skip.
inline std::unique_ptr<Context> open_simulator() {
  if (!std::filesystem::exists(ALMA_BINARY_DIR "/libalma_cuda_sim.so")) return nullptr;
  return std::make_unique<Context>("cuda-sim");
}
inline constexpr const char* no_simulator = "this build has no cuda-sim: no CUDA toolkit was found";

/// A function of kernels/sim/control.h in the simulator that is open.
template <class Function>
Function* simulator_function(const char* name) {
  void* library = dlopen(ALMA_BINARY_DIR "/libalma_cuda_sim.so", RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
  void* symbol = library == nullptr ? nullptr : dlsym(library, name);
  if (symbol == nullptr) fail("[simulator] no ", name);
  return reinterpret_cast<Function*>(symbol);
}

}  // namespace alma::test
