#pragma once
#include "engine/tensor.h"

namespace alma {

/// A mini-batch: the input of a model, and the labels for its loss.
struct Batch {
  Tensor x;                  // one row per sample
  Tensor y;                  // i32, one per prediction
  std::int64_t ignored = 0;  // of y, those that are kNoLabel
};

}  // namespace alma
