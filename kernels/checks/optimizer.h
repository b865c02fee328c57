#pragma once
#include "kernels/checks/arrays.h"

namespace alma::check {

inline Observed gradient_norm(Backend& backend, std::span<const In> gradients, const Out& norm) {
  for (const In& gradient : gradients) array("gradient_norm", "gradient", gradient, norm.dtype, gradient.shape);
  array("gradient_norm", "norm", norm, norm.dtype, {});
  return {backend, "gradient_norm", gradients};
}

/// The slots of one optimizer step; every weight has the type of the first.
inline Observed optimize(Backend& backend, std::span<const OptimizerSlot> slots, const OptimizerRule& rule,
                         const StepState* state) {
  const char* op = "optimize";
  if (state == nullptr) fail("[", op, "] the step state is null");
  const int states = states_of(rule);
  for (const OptimizerSlot& slot : slots) {
    const Shape& shape = slot.weight.shape;
    const DType dtype = slots.front().weight.dtype;
    array(op, "weight", slot.weight, dtype, shape);
    array(op, "gradient", slot.gradient, dtype, shape);
    if (states > 0) array(op, "state0", slot.state0, dtype, shape);
    if (states > 1) array(op, "state1", slot.state1, dtype, shape);
  }
  return {backend, name_of(rule), slots};
}

}  // namespace alma::check
