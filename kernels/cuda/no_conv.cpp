// The primitives of convolution, where the build has no cuDNN.
#include "kernels/cuda/cuda_backend.h"

namespace alma {
namespace {

[[noreturn]] void refuse(const char* op) {
  fail("[", op, "] this build was made without cuDNN; install cuDNN 9 and configure again");
}

}  // namespace

std::string cudnn_version() { return ""; }

void CudaBackend::conv2d(const In&, const In&, const In&, const ConvGeometry&, const Out&, Math) { refuse("conv2d"); }
void CudaBackend::conv2d_data_gradient(const In&, const In&, const ConvGeometry&, const Out&, Math) {
  refuse("conv2d_data_gradient");
}
void CudaBackend::conv2d_weight_gradient(const In&, const In&, const ConvGeometry&, const Out&, const Out&, Math) {
  refuse("conv2d_weight_gradient");
}

}  // namespace alma
