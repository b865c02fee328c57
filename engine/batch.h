#pragma once
#include "engine/tensor.h"

namespace alma {

/// A mini-batch: the input of a model, and the labels for its loss.
struct Batch {
  Tensor x;  // one row per sample
  Tensor y;  // i32, one per prediction
};

}  // namespace alma
