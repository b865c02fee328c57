#pragma once
#include "engine/tensor.h"

namespace alma {

/// A mini-batch: what a model takes, and what its loss compares the answers with.
struct Batch {
  Tensor x;  // one row per sample
  Tensor y;  // i32, one per prediction
};

}  // namespace alma
