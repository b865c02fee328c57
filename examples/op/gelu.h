#pragma once
#include <memory>

#include "engine/tensor.h"
#include "gelu_primitive.h"

/// The op: the primitive of a context's device, on the tape.
///   const Gelu gelu(context);  Tensor y = gelu(x);  y.backward_of_sum();
class Gelu {
 public:
  /// Throws alma::Error (usage) if there are no kernels for the device. `context` outlives the op and what it has recorded.
  explicit Gelu(alma::Context& context);
  /// y = x Phi(x), element by element. x of any shape, in `context`; f32, or f64 on the cpu.
  alma::Tensor operator()(const alma::Tensor& x) const;

 private:
  std::shared_ptr<GeluPrimitive> primitive_;  // shared with the tape
};
