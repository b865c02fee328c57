#pragma once
#include "kernels/backend.h"
#include "kernels/cpu/lanes.h"

namespace alma {

/// Batch normalisation of images in lanes16; see Backend. The arguments have been checked.
void batch_norm_lanes(ThreadPool* pool, const In& x, const In& gamma, const In& beta, const BatchNormRule& rule,
                      const Out& running_mean, const Out& running_var, const Out& y, const Out& mean, const Out& rstd);
void batch_norm_lanes_inference(ThreadPool* pool, const In& x, const In& gamma, const In& beta, const In& running_mean,
                                const In& running_var, double epsilon, bool relu, const Out& y);
void batch_norm_lanes_backward(ThreadPool* pool, const In& x, const In& gamma, const In& beta, const In& mean,
                               const In& rstd, const In& dy, const Out& dx, const Out& dgamma, const Out& dbeta);

}  // namespace alma
