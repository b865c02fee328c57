#pragma once
#include <string>

namespace alma {

/// The version of the program, "0.1.0".
std::string version();
/// Compiler, build type and flags.
std::string compiler();
/// The CUDA toolkit that `cuda` and `cuda-sim` were built with, or the reason why they were not built.
std::string cuda_toolkit();

}  // namespace alma
