#pragma once
#include "kernels/backend.h"

/// The argument checks of every primitive, the same on every device. They throw Error
/// "[matmul] b must be f32 [3, 4], got f64 [3, 4]". What a device cannot compute (f64 on cuda) it refuses itself.
namespace alma::check {

/// `view` has this type and shape, and memory if it has elements.
inline void array(const char* op, const char* name, const In& view, DType dtype, const Shape& shape) {
  if (view.dtype != dtype || !(view.shape == shape))
    fail("[", op, "] ", name, " must be ", dtype, " ", shape, ", got ", view.dtype, " ", view.shape);
  if (view.data == nullptr && shape.count() > 0) fail("[", op, "] ", name, " must be ", dtype, " ", shape, ", got null");
}

inline void rank(const char* op, const char* name, const In& view, int rank) {
  if (view.shape.rank() != rank) fail("[", op, "] ", name, " must have ", rank, " dimensions, got ", view.shape);
  if (view.data == nullptr && view.shape.count() > 0) fail("[", op, "] ", name, " ", view.shape, " is null");
}

struct MatmulSizes {
  std::int64_t m, n, k;
};

inline MatmulSizes matmul(const In& a, bool transpose_a, const In& b, bool transpose_b, const Out& c,
                          const Epilogue& epilogue) {
  rank("matmul", "a", a, 2);
  rank("matmul", "b", b, 2);
  const MatmulSizes s{a.shape[transpose_a ? 1 : 0], b.shape[transpose_b ? 0 : 1], a.shape[transpose_a ? 0 : 1]};
  array("matmul", "b", b, a.dtype, transpose_b ? Shape{s.n, s.k} : Shape{s.k, s.n});
  array("matmul", "c", c, a.dtype, {s.m, s.n});
  if (epilogue.bias) array("matmul", "bias", epilogue.bias, a.dtype, {s.n});
  if (epilogue.accumulate && (epilogue.bias || epilogue.relu)) fail("[matmul] accumulate goes without bias and relu");
  return s;
}

struct ImageProductSizes {
  std::int64_t n, out, pixels;
};

/// rows [n, out] and weight [out, pixels] go with x.
inline ImageProductSizes image_product(const char* op, const ImageRows& x, const char* rows_name, const In& rows,
                                       const char* weight_name, const In& weight) {
  rank(op, "images", x.images, 4);
  const Shape& s = x.images.shape;
  array(op, "images", x.images, DType::u8, {s[0], 1, s[2], s[3]});
  rank(op, "indices", x.indices, 1);
  array(op, "indices", x.indices, DType::i32, x.indices.shape);
  rank(op, rows_name, rows, 2);
  const ImageProductSizes sizes{x.indices.shape[0], rows.shape[1], s[2] * s[3]};
  array(op, rows_name, rows, DType::f32, {sizes.n, sizes.out});
  array(op, weight_name, weight, DType::f32, {sizes.out, sizes.pixels});
  return sizes;
}

inline ImageProductSizes matmul_images(const ImageRows& x, const In& w, const Out& y, const Epilogue& epilogue) {
  const ImageProductSizes sizes = image_product("matmul_images", x, "y", y, "w", w);
  if (epilogue.bias) array("matmul_images", "bias", epilogue.bias, DType::f32, {sizes.out});
  if (epilogue.accumulate) fail("[matmul_images] does not accumulate");
  return sizes;
}

inline void bias_relu_backward(const In& dy, const In& y, const Out& dz, const Out& dbias) {
  const char* op = "bias_relu_backward";
  rank(op, "dy", dy, 2);
  if (static_cast<bool>(y) != static_cast<bool>(dz) && dy.shape.count() > 0)
    fail("[", op, "] y and dz go together, got one");
  if (y) array(op, "y", y, dy.dtype, dy.shape);
  if (dz) array(op, "dz", dz, dy.dtype, dy.shape);
  if (dbias) array(op, "dbias", dbias, dy.dtype, {dy.shape[1]});
}

/// y has x's type and shape: unary, affine, softmax.
inline void like(const char* op, const In& x, const Out& y) {
  array(op, "x", x, x.dtype, x.shape);
  array(op, "y", y, x.dtype, x.shape);
}

inline void binary(const In& a, const In& b, const Out& y) {
  array("binary", "y", y, a.dtype, y.shape);
  for (const In* x : {&a, &b}) {
    array("binary", x == &a ? "a" : "b", *x, a.dtype, x->shape);
    bool fits = x->shape.rank() <= y.shape.rank();
    for (int i = 0; fits && i < x->shape.rank(); ++i) {
      const std::int64_t size = x->shape[x->shape.rank() - 1 - i];
      fits = size == 1 || size == y.shape[y.shape.rank() - 1 - i];
    }
    if (!fits) fail("[binary] ", x == &a ? "a " : "b ", x->shape, " does not broadcast to y ", y.shape);
  }
}

inline void reduce_sum(const In& x, const Out& y) {
  array("reduce_sum", "x", x, x.dtype, x.shape);
  bool fits = x.shape.rank() == y.shape.rank();
  for (int i = 0; fits && i < x.shape.rank(); ++i) fits = y.shape[i] == x.shape[i] || y.shape[i] == 1;
  if (!fits) fail("[reduce_sum] every size of y must be 1 or that of x ", x.shape, ", got ", y.shape);
  array("reduce_sum", "y", y, x.dtype, y.shape);
}

inline void argmax(const In& x, const Out& y) {
  rank("argmax", "x", x, 2);
  if (x.shape[1] < 1) fail("[argmax] rows of x must have elements, got ", x.shape);
  array("argmax", "y", y, DType::i32, {x.shape[0]});
}

/// Softmax and its backward need a last dimension that is not empty.
inline void softmax(const char* op, const In& x) {
  if (x.shape.last() < 1) fail("[", op, "] the last dimension must have elements, got ", x.shape);
}

inline void softmax_cross_entropy(const In& logits, const In& labels, const Out& grad, const Out& loss, const Out& hits) {
  const char* op = "softmax_cross_entropy";
  rank(op, "logits", logits, 2);
  softmax(op, logits);
  array(op, "labels", labels, DType::i32, {logits.shape[0]});
  if (grad) array(op, "grad", grad, logits.dtype, logits.shape);
  array(op, "loss", loss, logits.dtype, {});
  if (hits) array(op, "hits", hits, DType::i32, {});
}

inline constexpr std::size_t max_experts = 16;

inline void mix(const char* op, const In& gates, std::span<const In> experts, const In& y) {
  rank(op, "gates", gates, 2);
  rank(op, "y", y, 2);
  if (experts.empty() || experts.size() > max_experts) fail("[", op, "] needs 1 to 16 experts, got ", experts.size());
  array(op, "gates", gates, gates.dtype, {y.shape[0], static_cast<std::int64_t>(experts.size())});
  array(op, "y", y, gates.dtype, y.shape);
  for (const In& expert : experts) array(op, "expert", expert, gates.dtype, y.shape);
}

inline void mix_backward(const In& gates, std::span<const In> experts, const In& dy, const Out& dgates,
                         std::span<const Out> dexperts) {
  mix("mix_backward", gates, experts, dy);
  array("mix_backward", "dgates", dgates, gates.dtype, gates.shape);
  if (dexperts.size() != experts.size())
    fail("[mix_backward] needs ", experts.size(), " gradients of experts, got ", dexperts.size());
  for (const Out& dexpert : dexperts) array("mix_backward", "dexpert", dexpert, gates.dtype, dy.shape);
}

inline void gather_images(const In& images, const In& labels, const In& indices, const Out& x, const Out& y,
                          const ImageAugmentation& augmentation) {
  const char* op = "gather_images";
  rank(op, "images", images, 4);
  const Shape& s = images.shape;
  array(op, "images", images, DType::u8, s);
  if (s[1] > PixelScale::max_channels) fail("[", op, "] at most ", PixelScale::max_channels, " channels, got images ", s);
  array(op, "labels", labels, DType::i32, {s[0]});
  rank(op, "indices", indices, 1);
  array(op, "indices", indices, DType::i32, indices.shape);
  const std::int64_t n = indices.shape[0];
  array(op, "x", x, x.dtype, x.shape.rank() == 2 ? Shape{n, s[1] * s[2] * s[3]} : Shape{n, s[1], s[2], s[3]});
  array(op, "y", y, DType::i32, {n});
  if (augmentation.pad < 0 || augmentation.pad > 1024)
    fail("[", op, "] the padding of an augmentation must be in 0..1024, got ", augmentation.pad);
  if (augmentation && augmentation.state == nullptr) fail("[", op, "] an augmentation needs a step state, got null");
}

/// rows [m, n] go with indices [m] and table [r, n]: gather_rows and scatter_add_rows.
inline void table_rows(const char* op, const In& table, const In& indices, const char* name, const In& rows) {
  rank(op, "table", table, 2);
  rank(op, "indices", indices, 1);
  array(op, "indices", indices, DType::i32, indices.shape);
  array(op, name, rows, table.dtype, {indices.shape[0], table.shape[1]});
}

/// The slots of one optimizer step; every weight has the type of the first.
inline void slots(const char* op, std::span<const OptimizerSlot> slots, bool state0, bool state1, const StepState* state) {
  if (state == nullptr) fail("[", op, "] the step state is null");
  for (const OptimizerSlot& slot : slots) {
    const Shape& shape = slot.weight.shape;
    const DType dtype = slots.front().weight.dtype;
    array(op, "weight", slot.weight, dtype, shape);
    array(op, "gradient", slot.gradient, dtype, shape);
    if (state0) array(op, "state0", slot.state0, dtype, shape);
    if (state1) array(op, "state1", slot.state1, dtype, shape);
  }
}

}  // namespace alma::check
