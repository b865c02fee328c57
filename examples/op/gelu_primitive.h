#pragma once
#include "kernels/views.h"

/// GELU (Hendrycks & Gimpel 2016) on raw memory, as kernels/backend.h would list it: the contract between the op and one
/// implementation for each kind of device. No tensors, no tape.
///
/// x, dy, y and dx are dense, row-major, of one shape and dtype: f32, or f64 on the cpu. An output may be one of the inputs.
/// Any number of elements. The same bits on every call.
class GeluPrimitive {
 public:
  virtual ~GeluPrimitive() = default;
  /// y = x Phi(x), where Phi is the distribution function of the standard normal distribution. Minimum bytes: x + y.
  virtual void gelu(const alma::In& x, const alma::Out& y) = 0;
  /// dx = dy (Phi(x) + x phi(x)), where phi is its density. Minimum bytes: x + dy + dx.
  virtual void gelu_backward(const alma::In& x, const alma::In& dy, const alma::Out& dx) = 0;
};

/// What gelu.cu exports; `stream` is the backend's native_stream(). The caller deletes it.
inline constexpr const char* kMakeGelu = "make_gelu";
using MakeGelu = GeluPrimitive* (*)(void* stream);
