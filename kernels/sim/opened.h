#pragma once
#include <dlfcn.h>
#include <link.h>

#include <string>

#include "base/error.h"
#include "kernels/sim/control.h"

namespace alma {

/// A function of control.h in the simulator that this process has opened: simulator_function<unsigned()>("alma_sim_checks").
/// Throws Error if none is open.
template <class Function>
Function* simulator_function(const char* name) {
  std::string path;
  const auto find = [](dl_phdr_info* info, std::size_t, void* found) {
    const std::string object = info->dlpi_name;
    if (!object.ends_with("/libalma_cuda_sim.so")) return 0;
    *static_cast<std::string*>(found) = object;
    return 1;
  };
  void* library = dl_iterate_phdr(find, &path) == 0 ? nullptr : dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
  void* symbol = library == nullptr ? nullptr : dlsym(library, name);
  if (symbol == nullptr) fail("[simulator] no ", name, ": ", library == nullptr ? "cuda-sim is not open" : path);
  return reinterpret_cast<Function*>(symbol);
}

}  // namespace alma
