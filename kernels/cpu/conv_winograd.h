#pragma once
#include "kernels/cpu/lanes.h"
#include "kernels/cpu/workspace.h"

namespace alma {

/// A 3 x 3 convolution with padding 1 of `channels` planes to `outputs` planes of images in lanes16.
struct PlanesConv {
  LaneImages z;  // n, h and w of both; c is not used
  std::int64_t channels, outputs;
  const float* w;  // [outputs][channels][3][3]; turned: [channels][outputs][3][3], each kernel by 180 degrees
  bool turned;
  const float* bias;  // [outputs], or null
};

/// Whether the two algorithms below take a convolution of `channels` to `outputs` planes of images of this size, and are the
/// faster ones.
bool has_winograd(const LaneImages& z, std::int64_t channels, std::int64_t outputs);
/// Winograd's minimal filtering F(2 x 4, 3 x 3) (Lavin & Gray 2016): 24 multiplications for 8 outputs instead of 72. Errs
/// about as much as plain sums do; F(4 x 4), with 36 for 16, errs twice as much.
void conv_winograd(ThreadPool* pool, Workspace& workspace, const PlanesConv& conv, const float* x, float* y);

/// The gradients of that convolution's weights and, where dbias is not null, of its bias, in the same form: a correlation of
/// 4 x 6 inputs with 2 x 4 slopes has 3 x 3 results and needs 24 multiplications too.
void gradient_winograd(ThreadPool* pool, Workspace& workspace, const LaneImages& x, std::int64_t outputs,
                       const float* from_x, const float* from_dy, float* dw, float* dbias);

}  // namespace alma
