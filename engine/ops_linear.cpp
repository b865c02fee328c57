#include "engine/deferred_images.h"
#include "engine/masked_cotangent.h"
#include "engine/ops_check.h"
#include "engine/ops_images.h"
#include "engine/ops_matmul.h"
#include "engine/product.h"

namespace alma {

namespace {

Tensor empty_bias(const Tensor& dz) { return Tensor::empty(dz.context(), {dz.dim(1)}, dz.dtype()); }

/// Backward of linear(). Where x comes from another one with ReLU, the product that makes x's cotangent also applies that
/// ReLU's mask and adds up that bias's gradient, and offers both.
class LinearNode final : public Node {
 public:
  using Inputs = std::array<std::shared_ptr<Node>, 3>;  // of x, weight, bias

  /// y is undefined without ReLU.
  LinearNode(Inputs inputs, Tensor x, Tensor weight, Tensor y, Tensor mask)
      : Node("linear"),
        inputs_(std::move(inputs)),
        before_(dynamic_cast<LinearNode*>(inputs_[0].get())),
        x_(std::move(x)),
        weight_(std::move(weight)),
        y_(std::move(y)),
        mask_(std::move(mask)) {
    set_inputs(inputs_);
    if (before_ != nullptr && !before_->y_.defined()) before_ = nullptr;
    if (before_ != nullptr) before_->masked_.add_taker();
  }
  ~LinearNode() override { let_go(); }

 private:
  void backward(const Tensor& dy, Grads& grads) override {
    Tensor dz = dy, dbias;  // dz: the cotangent before the ReLU
    if (const auto offer = masked_.take(dy)) {
      dbias = offer->sums;
    } else if (y_.defined()) {
      dz = Tensor::empty(dy.context(), dy.shape(), dy.dtype());
      if (grads.wanted(2)) dbias = empty_bias(dz);
      dy.backend().bias_relu_backward(dy, y_, dz.out(), dbias.defined() ? dbias.out() : Out{});
      add_mask_cost(dz, dbias.defined());
    }
    const bool sum = grads.wanted(2) && !dbias.defined();
    if (sum) dbias = empty_bias(dz);
    if (grads.wanted(1)) grads.add(1, weight_gradient(dz, sum ? dbias.out() : Out{}));
    if (sum) {
      if (!sums_with_weight_gradient(grads)) dz.backend().bias_relu_backward(dz, {}, {}, dbias.out());
      dz.context().add_cost({0, static_cast<Count>(dz.count()), static_cast<Count>(dz.bytes())});
    }
    if (dbias.defined()) grads.add(2, std::move(dbias));
    if (grads.wanted(0)) grads.add(0, input_gradient(dz));
  }

  bool sums_with_weight_gradient(const Grads& grads) const { return grads.wanted(1) && !x_.is_deferred(); }

  // dz^T x, and where x is stored the sums of dz's columns.
  Tensor weight_gradient(const Tensor& dz, const Out& sums) const {
    if (!x_.is_deferred()) return product(dz, true, x_, false, {.sums_of_a = sums}, false);
    Tensor dweight = Tensor::empty(x_.context(), {dz.dim(1), x_.dim(1)}, dz.dtype());
    x_.backend().matmul_images_gradient(dz, deferred_images(x_)->rows(), dweight.out());
    x_.context().add_cost(
        {0, 2 * macs_of(dz.dim(0), dz.dim(1), x_.dim(1)), static_cast<Count>(x_.count()) + bytes_of(dz, dweight)});
    return dweight;
  }

  Tensor input_gradient(const Tensor& dz) {
    if (before_ == nullptr || !before_->masked_.has_sole_taker()) return product(dz, false, weight_, false, {}, false);
    Epilogue epilogue{.masked_by = before_->y_};
    if (before_->mask_.defined()) epilogue.mask = before_->mask_;
    Tensor sums;
    if (Grads(*before_).wanted(2)) {
      sums = Tensor::empty(dz.context(), {weight_.dim(1)}, dz.dtype());
      epilogue.column_sums = sums.out();
    }
    Tensor dx = product(dz, false, weight_, false, epilogue, false);
    add_mask_cost(dx, sums.defined());
    before_->masked_.offer({dx, std::move(sums)});
    return dx;
  }

  static void add_mask_cost(const Tensor& dz, bool with_sums) {
    dz.context().add_cost({0, static_cast<Count>(dz.count()) * (with_sums ? 2 : 1), 3 * static_cast<Count>(dz.bytes())});
  }

  Inputs inputs_;
  LinearNode* before_;  // x comes from it, through a ReLU; it lives as long as inputs_[0]
  Tensor x_, weight_, y_, mask_;
  MaskedCotangent masked_;  // of y, between this op and the linear() that takes it
};

// x weight^T with the epilogue, without the tape; x may be images that stay in place.
Tensor linear_forward(const Tensor& x, const Tensor& weight, const Epilogue& epilogue) {
  if (!x.is_deferred()) return product(x, false, weight, true, epilogue, true);
  Tensor y = Tensor::empty(x.context(), {x.dim(0), weight.dim(0)}, weight.dtype());
  x.backend().matmul_images(deferred_images(x)->rows(), weight, y.out(), epilogue);
  const Count macs = macs_of(x.dim(0), weight.dim(0), x.dim(1));
  x.context().add_cost({macs, 2 * macs, static_cast<Count>(x.count()) + bytes_of(weight, y)});
  return y;
}

// Images are multiplied without a copy only for few outputs and without augmentation.
bool stays_in_place(const Tensor& x, const Tensor& weight) {
  if (!x.is_deferred() || weight.dim(0) > x.backend().most_image_outputs()) return false;
  const DeferredImages* images = deferred_images(x);
  return images != nullptr && images->pixels.dim(1) == 1 && !images->augmentation;
}

// The mask that the forward product leaves for input_gradient() of the next layer.
Tensor relu_mask(const Tensor& x, const Tensor& weight) {
  if (x.is_deferred()) return {};
  const auto bytes = static_cast<std::int64_t>(x.backend().relu_mask_bytes(x, false, weight, true));
  return bytes == 0 ? Tensor() : Tensor::empty(x.context(), {bytes}, DType::u8);
}

}  // namespace

Tensor linear(const Tensor& input, const Tensor& weight, const Tensor& bias, bool relu) {
  require_rank("linear", "x", input, 2);
  require_rank("linear", "weight", weight, 2);
  if (input.dim(1) != weight.dim(1))
    fail("[linear] x ", input.shape(), " does not fit weight ", weight.shape(), " (out, in)");
  const Tensor x = stays_in_place(input, weight) ? input : dense(input);
  if (bias.defined()) require_shape("linear", "bias", bias, {weight.dim(0)});
  const bool recorded = Tape::enabled() && (Tape::node_of(x) || Tape::node_of(weight) || Tape::node_of(bias));
  const Tensor mask = relu && recorded ? relu_mask(x, weight) : Tensor();
  Epilogue epilogue;
  if (bias.defined()) epilogue.bias = bias;
  epilogue.relu = relu;
  if (mask.defined()) epilogue.relu_mask = mask.out();
  const Tensor y = linear_forward(x, weight, epilogue);
  if (recorded)
    Tape::set_node(
        y, std::make_shared<LinearNode>(LinearNode::Inputs{Tape::node_of(x), Tape::node_of(weight), Tape::node_of(bias)},
                                        x.detach(), weight.detach(), relu ? y.detach() : Tensor(), mask));
  return y;
}

}  // namespace alma
