#pragma once
#include <memory>
#include <string>
#include <vector>

#include "kernels/backend_library.h"

namespace alma {

/// Opens the shared library of a device and makes its backend.
///   device  "cpu" (best level of this processor), "cpu:generic" | "cpu:x86-64-v3" | "cpu:x86-64-v4", "cuda" or "cuda:0"
///           (the first GPU), "cuda:N" (GPU number N), "cuda-sim", "cuda-sim:N", or "auto": "cuda" if a usable GPU is there,
///           else "cpu", and info().why says why. The number decides, not options.gpu
/// Throws Error (usage) for an unknown device, or one that this build or machine lacks, saying why and what to do.
/// The library stays loaded until the process ends.
std::unique_ptr<Backend> open_backend(const std::string& device, const BackendOptions& options);

/// The kernels that a program brings for the device of `backend`, cuda or cuda-sim: the function `symbol` (extern "C") of
/// lib<name>_cuda.so or lib<name>_cuda_sim.so, as alma_kernels() of alma's CMake package builds them. Throws Error (usage)
/// for a library that is not there, cannot be loaded or lacks the function. It stays loaded until the process ends.
/// examples/op shows a primitive that is made so.
void* open_kernels(const Backend& backend, const std::string& name, const char* symbol);

/// One device that could be asked for, for `alma info`.
struct DeviceStatus {
  std::string device;  // as given to open_backend
  bool usable = false;
  std::string why;  // usable: what it is; else the reason
};
std::vector<DeviceStatus> list_devices();

}  // namespace alma
