#pragma once
#include "kernels/backend.h"

/// The argument checks of every primitive, the same on every device. They throw Error
/// "[matmul] b must be f32 [3, 4], got f64 [3, 4]". What a device cannot compute (f64 on cuda) it refuses itself.
namespace alma::check {

/// `view` lies in memory as the primitive takes it.
inline void layout(const char* op, const char* name, const In& view, Layout wanted) {
  if (view.layout != wanted) fail("[", op, "] ", name, " ", view.shape, " must be ", wanted, ", got ", view.layout);
}

/// `view` has this type, shape and layout, and memory if it has elements.
inline void array(const char* op, const char* name, const In& view, DType dtype, const Shape& shape,
                  Layout wanted = Layout::row_major) {
  layout(op, name, view, wanted);
  if (view.dtype != dtype || !(view.shape == shape))
    fail("[", op, "] ", name, " must be ", dtype, " ", shape, ", got ", view.dtype, " ", view.shape);
  if (view.data == nullptr && shape.count() > 0) fail("[", op, "] ", name, " must be ", dtype, " ", shape, ", got null");
}

inline void rank(const char* op, const char* name, const In& view, int rank, Layout wanted = Layout::row_major) {
  layout(op, name, view, wanted);
  if (view.shape.rank() != rank) fail("[", op, "] ", name, " must have ", rank, " dimensions, got ", view.shape);
  if (view.data == nullptr && view.shape.count() > 0) fail("[", op, "] ", name, " ", view.shape, " is null");
}

/// The layout of a primitive's images: that of the first of them, row_major or lanes16, which is f32.
inline Layout images(const char* op, const char* name, const In& view) {
  if (view.layout == Layout::row_major) return view.layout;
  layout(op, name, view, Layout::lanes16);
  rank(op, name, view, 4, Layout::lanes16);
  if (view.dtype != DType::f32) fail("[", op, "] images in lanes16 are f32, got ", name, " ", view.dtype);
  return view.layout;
}

inline void convert_layout(const In& x, const Out& y) {
  const char* op = "convert_layout";
  rank(op, "x", x, 4, x.layout);
  array(op, "x", x, DType::f32, x.shape, images(op, "x", x));
  array(op, "y", y, DType::f32, x.shape, x.layout == Layout::lanes16 ? Layout::row_major : Layout::lanes16);
}

struct MatmulSizes {
  std::int64_t batch, m, n, k;
};

/// Sizes of op(A) op(B), where A and B fit.
inline MatmulSizes factors(const In& a, bool transpose_a, const In& b, bool transpose_b) {
  for (const In* x : {&a, &b})
    if (x->shape.rank() != 2) rank("matmul", x == &a ? "a" : "b", *x, 3);
  const int da = a.shape.rank() - 2, db = b.shape.rank() - 2;
  const In& batched = da == 1 ? a : b;
  const MatmulSizes s{batched.shape.rank() == 3 ? batched.shape[0] : 1, a.shape[da + (transpose_a ? 1 : 0)],
                      b.shape[db + (transpose_b ? 0 : 1)], a.shape[da + (transpose_a ? 0 : 1)]};
  array("matmul", "a", a, a.dtype, a.shape);
  const std::int64_t rows = transpose_b ? s.n : s.k, columns = transpose_b ? s.k : s.n;
  array("matmul", "b", b, a.dtype, db == 1 ? Shape{s.batch, rows, columns} : Shape{rows, columns});
  return s;
}

inline void matmul_epilogue(const MatmulSizes& s, const Out& c, DType operands, bool transpose_a, const Epilogue& e) {
  const char* op = "matmul";
  const bool in_batch = c.shape.rank() == 3, gradient = e.masked_by || e.mask || e.column_sums || e.sums_of_a;
  if (e.bias) array(op, "bias", e.bias, c.dtype, in_batch && e.bias.shape.rank() == 2 ? Shape{s.batch, s.n} : Shape{s.n});
  if (e.accumulate && (e.bias || e.relu)) fail("[matmul] accumulate goes without bias and relu");
  if (e.relu_mask && (!e.relu || in_batch)) fail("[matmul] relu_mask goes with relu, and not in a batch");
  if ((gradient || e.relu_mask) && operands == DType::bf16)
    fail("[matmul] relu_mask and what is for gradients go with f32 or f64, got bf16");
  if (!gradient) return;
  if (in_batch || e.bias || e.relu || e.accumulate)
    fail("[matmul] masked_by, column_sums and sums_of_a go without bias, relu, accumulate and batch");
  if ((e.mask || e.column_sums) && !e.masked_by && s.m * s.n > 0)  // of nothing there is no memory
    fail("[matmul] mask and column_sums go with masked_by");
  if (e.sums_of_a && (e.masked_by || !transpose_a)) fail("[matmul] sums_of_a goes with transpose_a, without masked_by");
  if (e.masked_by) array(op, "masked_by", e.masked_by, c.dtype, {s.m, s.n});
  if (e.column_sums) array(op, "column_sums", e.column_sums, c.dtype, {s.n});
  if (e.sums_of_a) array(op, "sums_of_a", e.sums_of_a, c.dtype, {s.m});
}

inline MatmulSizes matmul(const In& a, bool transpose_a, const In& b, bool transpose_b, const Out& c,
                          const Epilogue& epilogue, Math math) {
  const MatmulSizes s = factors(a, transpose_a, b, transpose_b);
  const bool in_batch = a.shape.rank() == 3 || b.shape.rank() == 3;
  const DType dtype = a.dtype == DType::bf16 && c.dtype == DType::f32 ? DType::f32 : a.dtype;
  array("matmul", "c", c, dtype, in_batch ? Shape{s.batch, s.m, s.n} : Shape{s.m, s.n});
  if ((a.dtype == DType::bf16) != (math == Math::bf16) || (math == Math::tf32 && a.dtype != DType::f32))
    fail("[matmul] math ", name_of(math), " does not go with operands in ", a.dtype);
  matmul_epilogue(s, c, a.dtype, transpose_a, epilogue);
  return s;
}

/// x, w and y of a convolution, or their gradients, with the names that the primitive gives them.
struct ConvArrays {
  const In &x, &w, &y;
  const char *x_name, *w_name, *y_name;
  In bias = {};
  const char* bias_name = "";
};

inline void conv2d(const char* op, const ConvArrays& a, const ConvGeometry& g, Math math) {
  const Layout images = check::images(op, a.x_name, a.x);
  rank(op, a.x_name, a.x, 4, images);
  rank(op, a.w_name, a.w, 4);
  rank(op, a.y_name, a.y, 4, images);
  if (g.stride_h < 1 || g.stride_w < 1 || g.padding_h < 0 || g.padding_w < 0 || g.groups < 1)
    fail("[", op, "] strides and groups are at least 1, paddings at least 0, got strides ", g.stride_h, " and ", g.stride_w,
         ", paddings ", g.padding_h, " and ", g.padding_w, ", ", g.groups, " groups");
  const Shape &x = a.x.shape, &w = a.w.shape;
  if (x[1] % g.groups != 0 || w[0] % g.groups != 0)
    fail("[", op, "] ", g.groups, " groups must divide the channels of ", a.x_name, " ", x, ", ", a.w_name, " ", w);
  array(op, a.x_name, a.x, a.x.dtype, x, images);
  array(op, a.w_name, a.w, a.x.dtype, {w[0], x[1] / g.groups, w[2], w[3]});
  if (a.bias) array(op, a.bias_name, a.bias, a.x.dtype, {w[0]});
  const std::int64_t h = x[2] + 2 * g.padding_h - w[2], width = x[3] + 2 * g.padding_w - w[3];
  if (w[2] < 1 || w[3] < 1 || h < 0 || width < 0)
    fail("[", op, "] ", a.w_name, " ", w, " does not fit into the padded ", a.x_name, " ", x);
  array(op, a.y_name, a.y, a.x.dtype, {x[0], w[0], h / g.stride_h + 1, width / g.stride_w + 1}, images);
  const bool plain = g.stride_h == 1 && g.stride_w == 1 && g.groups == 1 && w[2] == w[3];
  if (images == Layout::lanes16 &&
      !(plain && g.padding_h == g.padding_w && ((w[2] == 3 && g.padding_h == 1) || (w[2] == 1 && g.padding_h == 0))))
    fail("[", op, "] in lanes16: 3 x 3 with padding 1 or 1 x 1 without, stride 1, 1 group, got ", a.w_name, " ", w,
         ", strides ", g.stride_h, " and ", g.stride_w, ", paddings ", g.padding_h, " and ", g.padding_w, ", ", g.groups,
         " groups");
  if ((a.x.dtype == DType::bf16) != (math == Math::bf16) || (math == Math::tf32 && a.x.dtype != DType::f32))
    fail("[", op, "] math ", name_of(math), " does not go with operands in ", a.x.dtype);
}

inline void cast(const In& x, const Out& y) {
  array("cast", "x", x, x.dtype, x.shape);
  array("cast", "y", y, y.dtype, x.shape);
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

inline void causal_softmax(const char* op, const char* name, const In& x) {
  const int rank = x.shape.rank();
  if (rank < 2 || x.shape[rank - 1] != x.shape[rank - 2]) fail("[", op, "] ", name, " must be [.., t, t], got ", x.shape);
}

/// Where a primitive that draws takes its random bits from.
inline void random_place(const char* op, const RandomPlace& place) {
  if (place.state == nullptr) fail("[", op, "] the step state is null");
  if (place.first < 0) fail("[", op, "] the number of the first random bits must be at least 0, got ", place.first);
}

inline void dropout(const In& x, double probability, const RandomPlace& place, const Out& y) {
  if (!(probability >= 0 && probability < 1)) fail("[dropout] the probability must be in [0, 1), got ", probability);
  random_place("dropout", place);
  array("dropout", "x", x, x.dtype, x.shape);
  array("dropout", "y", y, x.dtype, x.shape);
}

inline constexpr std::int64_t max_routed_experts = 1024;

struct RouteSizes {
  std::int64_t tokens, experts, capacity;
};

inline RouteSizes route_top1(const In& logits, const Routes& routes) {
  const char* op = "route_top1";
  rank(op, "logits", logits, 2);
  rank(op, "slots", routes.slots, 2);
  const RouteSizes s{logits.shape[0], logits.shape[1], routes.slots.shape[1]};
  if (s.experts < 1 || s.experts > max_routed_experts)
    fail("[", op, "] needs 1 to ", max_routed_experts, " experts, got logits ", logits.shape);
  array(op, "probabilities", routes.probabilities, logits.dtype, logits.shape);
  array(op, "expert", routes.expert, DType::i32, {s.tokens});
  array(op, "gate", routes.gate, logits.dtype, {s.tokens});
  array(op, "position", routes.position, DType::i32, {s.tokens});
  array(op, "slots", routes.slots, DType::i32, {s.experts, s.capacity});
  array(op, "counts", routes.counts, DType::i32, {s.experts});
  array(op, "importance", routes.importance, logits.dtype, {s.experts});
  array(op, "balance", routes.balance, logits.dtype, {});
  return s;
}

inline void route_top1_backward(const In& probabilities, const In& expert, const In& counts, const In& dgate,
                                const In& dbalance, const Out& dlogits) {
  const char* op = "route_top1_backward";
  rank(op, "probabilities", probabilities, 2);
  const std::int64_t tokens = probabilities.shape[0], experts = probabilities.shape[1];
  if (experts < 1 || experts > max_routed_experts)
    fail("[", op, "] needs 1 to ", max_routed_experts, " experts, got probabilities ", probabilities.shape);
  array(op, "expert", expert, DType::i32, {tokens});
  array(op, "counts", counts, DType::i32, {experts});
  if (dgate) array(op, "dgate", dgate, probabilities.dtype, {tokens});
  if (dbalance) array(op, "dbalance", dbalance, probabilities.dtype, {});
  array(op, "dlogits", dlogits, probabilities.dtype, probabilities.shape);
}

/// slotted [experts, capacity, d] and rows [tokens, d] go together.
inline void routed_rows(const char* op, const In& slotted, const In& rows, const In* slots, const In* expert,
                        const In* position, const In* gate) {
  rank(op, "the rows by slot", slotted, 3);
  rank(op, "the rows by token", rows, 2);
  const Shape& s = slotted.shape;
  const std::int64_t tokens = rows.shape[0];
  array(op, "the rows by token", rows, slotted.dtype, {tokens, s[2]});
  if (slots != nullptr) array(op, "slots", *slots, DType::i32, {s[0], s[1]});
  if (expert != nullptr) array(op, "expert", *expert, DType::i32, {tokens});
  if (position != nullptr) array(op, "position", *position, DType::i32, {tokens});
  if (gate != nullptr) array(op, "gate", *gate, slotted.dtype, {tokens});
}

inline void gradient_norm(std::span<const In> gradients, const Out& norm) {
  for (const In& gradient : gradients) array("gradient_norm", "gradient", gradient, norm.dtype, gradient.shape);
  array("gradient_norm", "norm", norm, norm.dtype, {});
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
  array(op, "x", x, x.dtype, x.shape.rank() == 2 ? Shape{n, s[1] * s[2] * s[3]} : Shape{n, s[1], s[2], s[3]},
        check::images(op, "x", x));
  array(op, "y", y, DType::i32, {n});
  if (augmentation.pad < 0 || augmentation.pad > 1024)
    fail("[", op, "] the padding of an augmentation must be in 0..1024, got ", augmentation.pad);
  if (augmentation) random_place(op, augmentation.place);
}

/// rows [m, n] go with indices [m] and table [r, n]: gather_rows and scatter_add_rows.
inline void table_rows(const char* op, const In& table, const In& indices, const char* name, const In& rows) {
  rank(op, "table", table, 2);
  rank(op, "indices", indices, 1);
  array(op, "indices", indices, DType::i32, indices.shape);
  array(op, name, rows, table.dtype, {indices.shape[0], table.shape[1]});
}

/// The slots of one optimizer step; every weight has the type of the first.
inline void optimize(std::span<const OptimizerSlot> slots, const OptimizerRule& rule, const StepState* state) {
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
}

}  // namespace alma::check
