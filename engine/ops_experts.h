#pragma once
#include "engine/ops_routing.h"

namespace alma {

/// The feed-forward layers of experts, relu(x W1^T + b1) W2^T + b2 for each expert's own tokens.
struct ExpertWeights {
  Tensor in_weight, in_bias;    // [experts, hidden, d], [experts, hidden]
  Tensor out_weight, out_bias;  // [experts, d, hidden], [experts, d]
  bool gelu = false;            // in place of ReLU
};

/// x [experts, capacity, d], as route_dispatch() has made it by `routing`. Returns the same shape; what it has in empty
/// slots is nothing that may be used. The cpu goes from expert to expert and multiplies the rows that are there; a GPU,
/// which should not wait to know how many these are, multiplies all slots in one batch.
///
/// The cost is that of as many rows as there are tokens, or slots if these are fewer: on all devices, for any routes.
Tensor expert_layers(const Tensor& x, const ExpertWeights& weights, const Routing& routing);

}  // namespace alma
