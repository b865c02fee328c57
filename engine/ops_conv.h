#pragma once
#include "engine/tensor.h"

namespace alma {

// Ops on images [n, c, h, w]: row-major, or on the cpu in f32 lanes16. All tensors of images in one call have one layout,
// and so has the result.

/// x in another layout (row_major or lanes16); x itself if it has that layout already.
Tensor to_layout(const Tensor& x, Layout layout);

/// Cross-correlation: x [n, c, h, w], weight [k, c / groups, r, s], bias [k] or undefined. MACs: one per weight and output
/// element of a channel.
Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const ConvGeometry& geometry);

/// Batch normalisation with the statistics of x, followed by ReLU if rule.relu. gamma, beta, running_mean and
/// running_var are [c]; the last two are updated in place. Its MACs are twice the number of elements, as in the paper.
/// (Ioffe & Szegedy 2015.)
Tensor batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, const BatchNormRule& rule,
                  const Tensor& running_mean, const Tensor& running_var);
/// The same with the running statistics, which stay unchanged and are constants in the gradients of x, gamma and beta.
Tensor batch_norm_inference(const Tensor& x, const Tensor& gamma, const Tensor& beta, const BatchNormRule& rule,
                            const Tensor& running_mean, const Tensor& running_var);

/// The largest element of each window; no MACs, as in the paper.
Tensor max_pool(const Tensor& x, const PoolWindow& window);

/// Means over h * w windows that cover x (PyTorch's AdaptiveAvgPool2d): row-major [n, c, h, w]. One MAC per element of x, as
/// in the paper.
Tensor adaptive_average_pool(const Tensor& x, std::int64_t h, std::int64_t w);

}  // namespace alma
