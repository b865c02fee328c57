#pragma once
#include <vector>

#include "engine/tensor.h"

namespace alma {

/// A soft mixture: y = sum over k of gates[:, k] * experts[k]. gates [rows, k], experts k times [rows, ...], k in 1..16.
/// Images may also be [rows / m, m * channels, h, w]: m gates for each of them, as for a stack of m members side by side.
/// Returns the experts' shape and layout. (Caccia et al. 2022: layer output = sum_k score_k(x) expert_k(x); costs no
/// MACs by the paper's count.)
Tensor mix(const Tensor& gates, const std::vector<Tensor>& experts);

}  // namespace alma
