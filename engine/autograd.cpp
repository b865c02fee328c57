#include "engine/autograd.h"

#include "engine/tensor_impl.h"

namespace alma {

namespace {

// Adds in place only when nobody else can see the sum: the op that made it may still hold it.
void accumulate(Tensor& sum, Tensor gradient, bool sum_is_shared) {
  if (!sum.defined()) {
    sum = std::move(gradient);
    return;
  }
  Tensor target = sum_is_shared ? Tensor::empty(sum.context(), sum.shape(), sum.dtype()) : sum;
  sum.backend().binary(BinaryOp::add, sum, gradient, target.out());
  const std::size_t size = sum.bytes();
  sum.context().add_cost({0, static_cast<Count>(sum.count()), 3 * static_cast<Count>(size)});
  sum = std::move(target);
}

}  // namespace

// A long chain of ops must not be destroyed by recursion: its length would be the depth of the stack.
Node::~Node() {
  std::vector<std::shared_ptr<Node>> doomed;
  const auto take = [&doomed](std::vector<Edge>& edges) {
    for (Edge& edge : edges)
      if (edge.node && edge.node.use_count() == 1) doomed.push_back(std::move(edge.node));
  };
  take(edges_);
  while (!doomed.empty()) {
    std::shared_ptr<Node> node = std::move(doomed.back());
    doomed.pop_back();
    take(node->edges_);
  }
}

bool Grads::wanted(std::size_t input) const {
  const Node::Edge& edge = node_.edges_[input];
  return edge.node != nullptr || edge.leaf != nullptr;
}

void Grads::add(std::size_t input, Tensor gradient) {
  const Node::Edge& edge = node_.edges_[input];
  if (!edge.node && !edge.leaf) return;
  Tensor& sum = edge.node ? edge.node->pending_ : edge.leaf->grad;
  const bool shared = sum.defined() && (sum.impl_.use_count() > 1 || sum.impl_->storage.use_count() > 1);
  accumulate(sum, std::move(gradient), shared);
}

bool& Tape::enabled() {
  thread_local bool on = true;
  return on;
}

NoGrad::NoGrad() : before_(Tape::enabled()) { Tape::enabled() = false; }
NoGrad::~NoGrad() { Tape::enabled() = before_; }

Node::Edge Tape::edge_to(const Tensor& input) {
  if (!input.defined()) return {};
  if (input.impl_->node) return {input.impl_->node, nullptr};
  if (input.impl_->is_leaf) return {nullptr, input.impl_};
  return {};
}

void Tape::set_node(const Tensor& output, std::shared_ptr<Node> node) { output.impl_->node = std::move(node); }

// Depth first from the root along the inputs, then in the reverse of that post-order: every op after all that use its
// result. The order depends on the graph alone.
void Tape::backward(const Tensor& root, const Tensor& cotangent) {
  if (!root.requires_grad()) fail("[backward] nothing here wants a gradient");
  NoGrad off;
  if (!root.impl_->node) {  // a leaf
    accumulate(root.impl_->grad, cotangent.clone(), true);
    return;
  }
  if (root.impl_->node->edges_.empty())
    fail("[backward] the graph of ", root.impl_->node->name(), " was freed by an earlier backward()");
  std::vector<std::shared_ptr<Node>> order;
  std::vector<std::pair<std::shared_ptr<Node>, std::size_t>> path{{root.impl_->node, 0}};
  root.impl_->node->visited_ = true;
  while (!path.empty()) {
    auto& [node, next] = path.back();
    if (next == node->edges_.size()) {
      order.push_back(std::move(node));
      path.pop_back();
      continue;
    }
    const std::shared_ptr<Node>& input = node->edges_[next++].node;
    if (input && !input->visited_) {
      if (input->edges_.empty()) fail("[backward] the graph of ", input->name(), " was freed by an earlier backward()");
      input->visited_ = true;
      path.emplace_back(input, 0);
    }
  }
  root.impl_->node->pending_ = cotangent;
  while (!order.empty()) {
    const std::shared_ptr<Node> node = std::move(order.back());
    order.pop_back();
    node->visited_ = false;
    const Tensor arrived = std::move(node->pending_);
    Grads grads(*node);
    if (arrived.defined()) node->backward(arrived, grads);
    node->edges_.clear();  // lets go of the ops before it, and with them of what they saved
  }
}

}  // namespace alma
