#include "engine/ops_experts.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "engine/ops_check.h"
#include "engine/ops_elementwise.h"
#include "engine/ops_matmul.h"
#include "engine/ops_shape.h"
#include "engine/product.h"

namespace alma {

namespace {

constexpr const char* kName = "expert_layers";

void check(const Tensor& x, const ExpertWeights& w, const Routing& routing) {
  const std::int64_t experts = routing.experts(), d = w.out_bias.dim(1), hidden = w.in_bias.dim(1);
  require_shape(kName, "x", x, {experts, routing.capacity(), d});
  require_shape(kName, "in_weight", w.in_weight, {experts, hidden, d});
  require_shape(kName, "in_bias", w.in_bias, {experts, hidden});
  require_shape(kName, "out_weight", w.out_weight, {experts, d, hidden});
  require_shape(kName, "out_bias", w.out_bias, {experts, d});
}

/// Whether reading numbers from the device waits for nothing.
bool on_host(const Tensor& x) { return x.backend().native_stream() == nullptr; }

/// The first rows of entry e of x [experts, ., .], as a matrix; all of them if none are named.
Tensor rows_of(const Tensor& x, std::int64_t e, std::int64_t rows = -1) {
  const std::int64_t columns = x.dim(2);
  return x.part(e * x.dim(1) * columns, {rows < 0 ? x.dim(1) : rows, columns});
}
Tensor vector_of(const Tensor& x, std::int64_t e) { return x.part(e * x.dim(1), {x.dim(1)}); }

void multiply(const Tensor& a, bool transpose_a, const Tensor& b, bool transpose_b, const Tensor& c,
              const Epilogue& epilogue) {
  a.backend().matmul(a, transpose_a, b, transpose_b, c.out(), epilogue, Math::f32);
}

/// Expert by expert, each product with the epilogue of a dense layer: bias and ReLU on the way forward; the ReLU's mask and
/// the sums for the biases on the way back. GELU is a pass of its own.
class Layers {
 public:
  Layers(Tensor x, const ExpertWeights& w, const Routing& routing) : x_(std::move(x)) {
    w_ = {w.in_weight.detach(), w.in_bias.detach(), w.out_weight.detach(), w.out_bias.detach(), w.gelu};
    hidden_ = Tensor::empty(x_.context(), {experts(), x_.dim(1), w_.in_bias.dim(1)}, x_.dtype());
    if (!relu()) inner_ = Tensor::empty(x_.context(), {experts(), x_.dim(1), w_.in_bias.dim(1)}, x_.dtype());
    for (const std::int32_t count : routing.counts.to_vector<std::int32_t>())
      rows_.push_back(std::min<std::int64_t>(count, routing.capacity()));
    counted_ = std::min(routing.tokens(), routing.experts() * routing.capacity());
  }

  Tensor forward(bool recorded) {
    const Tensor y = Tensor::empty(x_.context(), x_.shape(), x_.dtype());
    masks_.resize(recorded && relu() ? rows_.size() : 0);
    for_each_expert([&](std::int64_t e, std::int64_t rows) {
      const Tensor x = rows_of(x_, e, rows), hidden = rows_of(hidden_, e, rows), weight = rows_of(w_.in_weight, e);
      Epilogue epilogue{.bias = vector_of(w_.in_bias, e).in(), .relu = relu()};
      if (!masks_.empty()) {
        Tensor& mask = masks_[static_cast<std::size_t>(e)];
        const auto bytes = static_cast<std::int64_t>(x.backend().relu_mask_bytes(x, false, weight, true));
        if (bytes > 0) epilogue.relu_mask = (mask = Tensor::empty(x.context(), {bytes}, DType::u8)).out();
      }
      multiply(x, false, weight, true, relu() ? hidden : rows_of(inner_, e, rows), epilogue);
      if (!relu()) x.backend().unary(UnaryOp::gelu, rows_of(inner_, e, rows), hidden.out());
      multiply(hidden, false, rows_of(w_.out_weight, e), true, rows_of(y, e, rows),
               {.bias = vector_of(w_.out_bias, e).in()});
    });
    add_cost(2, true);
    return y;
  }

  void backward(const Tensor& dy, Grads& grads) const {
    const auto like = [&](const Tensor& t) { return Tensor::empty(t.context(), t.shape(), t.dtype()); };
    const Tensor dx = like(x_), dz = like(hidden_);
    const ExpertWeights d{like(w_.in_weight), like(w_.in_bias), like(w_.out_weight), like(w_.out_bias), w_.gelu};
    for (std::int64_t e = 0; e < experts(); ++e)
      if (rows_[static_cast<std::size_t>(e)] == 0)  // an idle expert's gradient
        for (const Tensor& t :
             {rows_of(d.in_weight, e), vector_of(d.in_bias, e), rows_of(d.out_weight, e), vector_of(d.out_bias, e)})
          t.backend().fill(t.out(), 0);
    for_each_expert([&](std::int64_t e, std::int64_t rows) {
      const Tensor dy_e = rows_of(dy, e, rows), hidden = rows_of(hidden_, e, rows), dz_e = rows_of(dz, e, rows);
      const Tensor in_sums = vector_of(d.in_bias, e), out_sums = vector_of(d.out_bias, e);
      multiply(dy_e, true, hidden, false, rows_of(d.out_weight, e), {.sums_of_a = out_sums.out()});
      Epilogue of_inner, of_weight;
      if (relu()) {
        of_inner = {.masked_by = hidden.in(), .column_sums = in_sums.out()};
        if (const Tensor& mask = masks_[static_cast<std::size_t>(e)]; mask.defined()) of_inner.mask = mask.in();
      } else {
        of_weight.sums_of_a = in_sums.out();
      }
      multiply(dy_e, false, rows_of(w_.out_weight, e), false, dz_e, of_inner);
      if (!relu()) dz_e.backend().binary(BinaryOp::gelu_gradient, dz_e, rows_of(inner_, e, rows), dz_e.out());
      multiply(dz_e, true, rows_of(x_, e, rows), false, rows_of(d.in_weight, e), of_weight);
      multiply(dz_e, false, rows_of(w_.in_weight, e), false, rows_of(dx, e, rows), {});
    });
    add_cost(4, false);
    const Tensor all[] = {dx, d.in_weight, d.in_bias, d.out_weight, d.out_bias};
    for (std::size_t i = 0; i < std::size(all); ++i) grads.add(i, all[i]);
  }

 private:
  std::int64_t experts() const { return x_.dim(0); }
  bool relu() const { return !w_.gelu; }

  /// work(expert, its rows) for those that have any.
  template <class Work>
  void for_each_expert(const Work& work) const {
    for (std::int64_t e = 0; e < experts(); ++e)
      if (const std::int64_t rows = rows_[static_cast<std::size_t>(e)]; rows > 0) work(e, rows);
  }

  /// Of so many products, each of the counted rows with a matrix of d and hidden.
  void add_cost(Count products, bool forward) const {
    const Count macs = products * macs_of(counted_, x_.dim(2), hidden_.dim(2));
    x_.context().add_cost({forward ? macs : 0, 2 * macs, products * bytes_of(x_, hidden_, w_.in_weight)});
  }

  ExpertWeights w_;
  Tensor x_, inner_, hidden_;       // inner_: of gelu, what it is applied to
  std::vector<std::int64_t> rows_;  // of each expert
  std::vector<Tensor> masks_;       // of its ReLU, if a backward follows
  std::int64_t counted_;
};

Tensor in_one_batch(const Tensor& x, const ExpertWeights& w, const Routing& routing) {
  const std::int64_t slots = routing.experts() * routing.capacity(), counted = std::min(routing.tokens(), slots);
  const Tensor rows = reshape(x, {slots, x.dim(2)});
  const bool relu = !w.gelu;
  const Tensor inner = stacked_linear(rows, w.in_weight, w.in_bias, relu, counted), hidden = relu ? inner : gelu(inner);
  return reshape(stacked_linear(hidden, w.out_weight, w.out_bias, false, counted), {x.dim(0), x.dim(1), x.dim(2)});
}

}  // namespace

Tensor expert_layers(const Tensor& x, const ExpertWeights& weights, const Routing& routing) {
  check(x, weights, routing);
  if (!on_host(x)) return in_one_batch(x, weights, routing);
  const auto layers = std::make_shared<Layers>(x.detach(), weights, routing);
  const Tensor y = layers->forward(Tape::enabled());
  return record(kName, {x, weights.in_weight, weights.in_bias, weights.out_weight, weights.out_bias}, y,
                [layers](const Tensor& dy, Grads& grads) { layers->backward(dy, grads); });
}

}  // namespace alma
