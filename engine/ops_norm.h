#pragma once
#include "engine/tensor.h"

namespace alma {

/// Layer normalisation (Ba et al. 2016): y = (x - mean) / sqrt(variance + epsilon) * gamma + beta over the last dimension of
/// x [.., n], with the biased variance, as PyTorch's LayerNorm; gamma and beta [n].
/// Throws Error "[layer_norm] gamma must be [512], got f32 [256]".
Tensor layer_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, double epsilon = 1e-5);

}  // namespace alma
