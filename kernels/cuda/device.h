#pragma once
#include <cuda_runtime_api.h>

#include <string>

namespace alma {

/// Makes GPU number `index` the current one of this thread. Throws Error (usage) where there is no driver, no GPU of that
/// number, a driver that is older than this build's runtime, or a GPU older than sm_80; each says what to do. `device` is
/// its name for the message, device_name().
void use_gpu(const std::string& device, int index);

/// The same for a GPU that use_gpu() has found usable: a comparison, where it is current already. Nothing else may change
/// the current GPU of a thread that works with a backend.
cudaError_t make_current(int index);

/// "cuda" for the first GPU of `kind` cuda, "cuda:1" for the second.
std::string device_name(const std::string& kind, int index);

/// "12.8" for 12080.
std::string cuda_version(int number);

}  // namespace alma
