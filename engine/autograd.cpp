#include "engine/autograd.h"

namespace alma {

namespace {

// Cotangents of one tensor have its shape and layout. Adds in place only when nobody else can see the sum: the op that made
// it may still hold it.
void accumulate(Tensor& sum, Tensor gradient, bool sum_is_shared) {
  if (!sum.defined()) {
    sum = std::move(gradient);
    return;
  }
  Tensor target = sum_is_shared ? Tensor::empty(sum.context(), sum.shape(), sum.dtype(), sum.layout()) : sum;
  sum.backend().binary(BinaryOp::add, sum.flat(), gradient.flat(), target.flat());
  const std::size_t size = sum.bytes();
  sum.context().add_cost({0, static_cast<Count>(sum.count()), 3 * static_cast<Count>(size)});
  sum = std::move(target);
}

/// Collects the gradient of a leaf.
class Leaf final : public Node {
 public:
  Leaf() : Node("leaf") {}

 private:
  void backward(const Tensor&, Grads&) override {}  // the way back ends here
};

}  // namespace

// A long chain of ops must not be destroyed recursively, since its length would be the depth of the stack; nor with a list
// that allocates, since a destructor may not fail.
void Node::let_go() noexcept {
  std::shared_ptr<Node> doomed;
  const auto take = [&doomed](Node& node) {
    for (std::shared_ptr<Node>& input : node.inputs_) {
      if (!input || input->is_leaf_ || input.use_count() != 1) continue;
      input->doomed_ = std::move(doomed);
      doomed = std::move(input);
    }
  };
  take(*this);
  while (doomed) {
    const std::shared_ptr<Node> node = std::move(doomed);
    doomed = std::move(node->doomed_);
    take(*node);
  }
}

bool Grads::wanted(std::size_t input) const { return node_.inputs_[input] != nullptr; }

void Grads::add(std::size_t input, Tensor gradient) {
  if (!wanted(input)) return;
  Tensor& sum = node_.inputs_[input]->sum_;
  accumulate(sum, std::move(gradient), sum.defined() && is_shared(sum));
}

bool Grads::is_shared(const Tensor& tensor) { return tensor.impl_.use_count() > 1 || tensor.impl_->storage.use_count() > 1; }

Tensor Grads::in_place_of(const Tensor& cotangent) {
  return is_shared(cotangent) ? Tensor::empty(cotangent.context(), cotangent.shape(), cotangent.dtype(), cotangent.layout())
                              : cotangent;
}

constinit thread_local bool Tape::enabled_ = true;

NoGrad::NoGrad() : before_(std::exchange(Tape::enabled_, false)) {}
NoGrad::~NoGrad() { Tape::enabled_ = before_; }

const std::shared_ptr<Node>& Tape::node_of(const Tensor& input) {
  static const std::shared_ptr<Node> none;
  return input.impl_ ? input.impl_->node : none;
}

void Tape::set_leaf(const Tensor& tensor, bool wanted) {
  std::shared_ptr<Node>& node = tensor.impl_->node;
  if (node && !node->is_leaf_)
    fail("[set_requires_grad] only leaves can be asked for, this is the result of ", node->name());
  if (!wanted) {
    node.reset();
  } else if (!node) {
    node = std::make_shared<Leaf>();
    node->is_leaf_ = true;
  }
}

const Tensor& Tape::grad(const Tensor& leaf) {
  static const Tensor none;
  const std::shared_ptr<Node>& node = node_of(leaf);
  return node && node->is_leaf_ ? node->sum_ : none;
}

void Tape::clear_grad(const Tensor& leaf) {
  const std::shared_ptr<Node>& node = node_of(leaf);
  if (node && node->is_leaf_) node->sum_ = Tensor();
}

// Depth first from the root along the inputs, then in the reverse of that post-order: every op after all that use its
// result. The order depends on the graph alone.
void Tape::backward(const Tensor& root, const Tensor& cotangent) {
  if (!root.requires_grad()) fail("[backward] nothing here wants a gradient");
  NoGrad off;
  const std::shared_ptr<Node>& last = root.impl_->node;
  if (last->is_leaf_) {
    accumulate(last->sum_, cotangent.clone(), true);
    return;
  }
  const auto require_graph = [](const Node& node) {
    if (node.freed_) fail("[backward] the graph of ", node.name(), " was freed by an earlier backward()");
  };
  require_graph(*last);
  std::vector<std::shared_ptr<Node>> order;
  std::vector<std::pair<const std::shared_ptr<Node>*, std::size_t>> path{{&last, 0}};
  last->visited_ = true;
  while (!path.empty()) {
    auto& [node, next] = path.back();
    if (next == (*node)->inputs_.size()) {
      order.push_back(*node);
      path.pop_back();
      continue;
    }
    const std::shared_ptr<Node>& input = (*node)->inputs_[next++];
    if (input && !input->is_leaf_ && !input->visited_) {
      require_graph(*input);
      input->visited_ = true;
      path.emplace_back(&input, 0);
    }
  }
  last->sum_ = cotangent;
  while (!order.empty()) {
    const std::shared_ptr<Node> node = std::move(order.back());
    order.pop_back();
    node->visited_ = false;
    const Tensor arrived = std::move(node->sum_);
    Grads grads(*node);
    if (arrived.defined()) node->backward(arrived, grads);
    for (std::shared_ptr<Node>& input : node->inputs_) input.reset();  // and with the ops before it what they saved
    node->freed_ = true;
  }
}

// ---- what a tensor knows of the tape --------------------------------------------------------------------------------

Tensor& Tensor::set_requires_grad(bool wanted) {
  if (wanted && dtype() != DType::f32 && dtype() != DType::f64) fail("[set_requires_grad] ", dtype(), " has no gradient");
  Tape::set_leaf(*this, wanted);
  return *this;
}

const Tensor& Tensor::grad() const { return Tape::grad(*this); }
void Tensor::clear_grad() const { Tape::clear_grad(*this); }

void Tensor::backward() const {
  if (count() != 1) fail("[backward] needs a scalar, the tensor is ", shape(), "; give a cotangent");
  backward_of_sum();
}

void Tensor::backward_of_sum() const {
  Tensor one = full(context(), shape(), dtype(), 1);
  one.impl_->is_one = true;
  Tape::backward(*this, one);
}

void Tensor::backward(const Tensor& cotangent) const {
  if (cotangent.shape() != shape() || cotangent.dtype() != dtype())
    fail("[backward] cotangent ", cotangent.dtype(), ' ', cotangent.shape(), " for ", dtype(), ' ', shape());
  Tape::backward(*this, cotangent);
}

}  // namespace alma
