#pragma once
#include "kernels/observed.h"

/// The argument checks of every primitive, the same on every device, one header per family. They throw Error
/// "[matmul] b must be f32 [3, 4], got f64 [3, 4]". What a device cannot compute (f64 on cuda) it refuses itself. A check is
/// called once, at the head of the primitive, and what it returns lives until the primitive ends: by that the backend's
/// observer sees every primitive on every device.
///   const Observed seen = check::softmax(*this, x, y);
/// This header: what the families share.
namespace alma::check {

// What a failed check says, apart from its tests: they are at the head of every primitive, and stay short.
[[noreturn, gnu::cold, gnu::noinline]] inline void refuse_layout(const char* op, const char* name, const In& view,
                                                                 Layout wanted) {
  fail("[", op, "] ", name, " ", view.shape, " must be ", wanted, ", got ", view.layout);
}

[[noreturn, gnu::cold, gnu::noinline]] inline void refuse_array(const char* op, const char* name, const In& view,
                                                                DType dtype, const Shape& shape) {
  const bool null = view.dtype == dtype && view.shape == shape;
  if (null) fail("[", op, "] ", name, " must be ", dtype, " ", shape, ", got null");
  fail("[", op, "] ", name, " must be ", dtype, " ", shape, ", got ", view.dtype, " ", view.shape);
}

[[noreturn, gnu::cold, gnu::noinline]] inline void refuse_rank(const char* op, const char* name, const In& view, int rank) {
  if (view.shape.rank() == rank) fail("[", op, "] ", name, " ", view.shape, " is null");
  fail("[", op, "] ", name, " must have ", rank, " dimensions, got ", view.shape);
}

/// `view`, an In or an Out, lies in memory as the primitive takes it.
template <class View>
void layout(const char* op, const char* name, const View& view, Layout wanted) {
  if (view.layout != wanted) [[unlikely]]
    refuse_layout(op, name, view, wanted);
}

/// `view` has this type, shape and layout, and memory if it has elements.
template <class View>
void array(const char* op, const char* name, const View& view, DType dtype, const Shape& shape,
           Layout wanted = Layout::row_major) {
  layout(op, name, view, wanted);
  if (view.dtype != dtype || !(view.shape == shape) || (view.data == nullptr && shape.count() > 0)) [[unlikely]]
    refuse_array(op, name, view, dtype, shape);
}

template <class View>
void rank(const char* op, const char* name, const View& view, int rank, Layout wanted = Layout::row_major) {
  layout(op, name, view, wanted);
  if (view.shape.rank() != rank || (view.data == nullptr && view.shape.count() > 0)) [[unlikely]]
    refuse_rank(op, name, view, rank);
}

/// The layout of a primitive's images: that of the first of them, row_major or lanes16, which is f32.
inline Layout images(const char* op, const char* name, const In& view) {
  if (view.layout == Layout::row_major) return view.layout;
  layout(op, name, view, Layout::lanes16);
  rank(op, name, view, 4, Layout::lanes16);
  if (view.dtype != DType::f32) fail("[", op, "] images in lanes16 are f32, got ", name, " ", view.dtype);
  return view.layout;
}

/// Where a primitive that draws takes its random bits from.
inline void random_place(const char* op, const RandomPlace& place) {
  if (place.state == nullptr) fail("[", op, "] the step state is null");
  if (place.first < 0) fail("[", op, "] the number of the first random bits must be at least 0, got ", place.first);
}

/// y has x's type and shape.
inline void like(const char* op, const In& x, const Out& y) {
  array(op, "x", x, x.dtype, x.shape);
  array(op, "y", y, x.dtype, x.shape);
}

/// The last dimension is not empty.
inline void filled_rows(const char* op, const In& x) {
  if (x.shape.last() < 1) fail("[", op, "] the last dimension must have elements, got ", x.shape);
}

}  // namespace alma::check
