#pragma once
#include "engine/tensor.h"

namespace alma {

/// Causal multi-head self-attention (Vaswani et al. 2017): qkv [sequences * t, 3 * d] has in each row the queries, keys and
/// values of all heads, d / heads elements per head; y [sequences * t, d] = softmax(q k^T / sqrt(d / heads)) v for each
/// head, where position i sees the positions up to i of its own sequence. The scores of one sequence exist at a time, and
/// the backward pass computes them again. Throws Error "[causal_attention] qkv must have 3 * heads equal parts in a row, got
/// f32 [512, 100] for 8 heads".
Tensor causal_attention(const Tensor& qkv, std::int64_t sequences, std::int64_t heads);

}  // namespace alma
