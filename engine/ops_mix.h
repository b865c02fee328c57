#pragma once
#include <vector>

#include "engine/tensor.h"

namespace alma {

/// A soft mixture: y = sum over k of gates[:, k] * experts[k]. gates [rows, k], experts k times [rows, ...], k in 1..16.
/// With m = `gates_per_row` the experts are images [rows / m, m * channels, h, w], as in a stack of m members: each image
/// has m gates, one after the other, for its m groups of channels.
/// Returns the experts' shape and layout. (Caccia et al. 2022: layer output = sum_k score_k(x) expert_k(x); costs no MACs by
/// the paper's count.)
Tensor mix(const Tensor& gates, const std::vector<Tensor>& experts, std::int64_t gates_per_row = 1);

}  // namespace alma
