#pragma once
#include <dlfcn.h>

#include "kernels/error.h"

namespace alma::test {

/// A function of kernels/sim/control.h in the simulator that is open.
template <class Function>
Function* simulator_function(const char* name) {
  void* library = dlopen(ALMA_BINARY_DIR "/libalma_cuda_sim.so", RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
  void* symbol = library == nullptr ? nullptr : dlsym(library, name);
  if (symbol == nullptr) fail("[simulator] no ", name);
  return reinterpret_cast<Function*>(symbol);
}

}  // namespace alma::test
