#pragma once
#include <string>

namespace alma {

/// Makes the first GPU the current device of this thread. Throws Error (usage) where there is no driver, no GPU, a driver
/// that is older than this build's runtime, or a GPU older than sm_80; each says what to do. `device` is its name for the
/// message: cuda | cuda-sim.
void use_first_gpu(const std::string& device);

/// "12.8" for 12080.
std::string cuda_version(int number);

}  // namespace alma
