#pragma once
#include "engine/tensor.h"

namespace alma {

/// Inverted dropout: each element becomes 0 with `probability`, in [0, 1), and is divided by 1 - probability otherwise. The
/// choice is made by the random bits at `place`, so the gradient needs no mask in memory: it draws them again.
Tensor dropout(const Tensor& x, double probability, const RandomPlace& place);

}  // namespace alma
