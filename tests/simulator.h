#pragma once
#include <filesystem>
#include <memory>

#include "engine/context.h"
#include "kernels/sim/opened.h"

namespace alma::test {

/// A context on cuda-sim, or null if this build has none (no CUDA toolkit). A simulator that was built but does not open
/// throws: that is a failure, not a reason to skip.
inline std::unique_ptr<Context> open_simulator() {
  if (!std::filesystem::exists(ALMA_BINARY_DIR "/libalma_cuda_sim.so")) return nullptr;
  return std::make_unique<Context>("cuda-sim");
}
inline constexpr const char* no_simulator =
    "this build has no cuda-sim: it was configured without a CUDA toolkit, or with ALMA_CUDA=off";

}  // namespace alma::test
