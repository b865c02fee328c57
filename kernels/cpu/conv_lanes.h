#pragma once
#include "kernels/cpu/lanes.h"
#include "kernels/cpu/workspace.h"

namespace alma {

/// conv2d() and its gradients on images in lanes16, 3 x 3 with padding 1 or 1 x 1 without. The arguments have been checked.
void conv_lanes(ThreadPool* pool, Workspace& workspace, const In& x, const In& w, const In& bias, const Out& y);
void conv_lanes_data_gradient(ThreadPool* pool, Workspace& workspace, const In& dy, const In& w, const Out& dx);
void conv_lanes_weight_gradient(ThreadPool* pool, Workspace& workspace, const In& x, const In& dy, const Out& dw,
                                const Out& dbias);

}  // namespace alma
