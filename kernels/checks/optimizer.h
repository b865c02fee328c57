#pragma once
#include "kernels/checks/arrays.h"

namespace alma::check {

inline Observed gradient_norm(Backend& backend, std::span<const In> gradients, const Out& norm) {
  for (const In& gradient : gradients) array("gradient_norm", "gradient", gradient, norm.dtype, gradient.shape);
  array("gradient_norm", "norm", norm, norm.dtype, {});
  return {backend, "gradient_norm", gradients};
}

/// The slots of one optimizer step; every weight has the type of the first.
inline Observed slots(Backend& backend, const char* op, std::span<const OptimizerSlot> slots, bool state0, bool state1,
                      const StepState* state) {
  if (state == nullptr) fail("[", op, "] the step state is null");
  for (const OptimizerSlot& slot : slots) {
    const Shape& shape = slot.weight.shape;
    const DType dtype = slots.front().weight.dtype;
    array(op, "weight", slot.weight, dtype, shape);
    array(op, "gradient", slot.gradient, dtype, shape);
    if (state0) array(op, "state0", slot.state0, dtype, shape);
    if (state1) array(op, "state1", slot.state1, dtype, shape);
  }
  return {backend, op, slots};
}

}  // namespace alma::check
