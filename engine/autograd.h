#pragma once
#include <array>
#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "engine/tensor.h"

namespace alma {

class Grads;

/// The record of one op on the tape: its backward. Owned by the op's output; saves only what the backward needs (in the
/// closure). A leaf has a node too, which collects its gradient.
class Node {
 public:
  virtual ~Node() = default;
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  const char* name() const { return name_; }

 protected:
  explicit Node(const char* name) : name_(name) {}
  /// Adds the cotangents of the inputs that need one, given the output's cotangent.
  virtual void backward(const Tensor& cotangent, Grads& grads) = 0;
  /// The nodes that receive the inputs' cotangents; null: none needed. The derived class stores them and releases them at
  /// its end.
  void set_inputs(std::span<std::shared_ptr<Node>> inputs) { inputs_ = inputs; }
  void let_go() noexcept;

 private:
  friend class Tape;
  friend class Grads;
  const char* name_;
  std::span<std::shared_ptr<Node>> inputs_;
  std::shared_ptr<Node> doomed_;  // the next node in the list that let_go() destroys
  Tensor sum_;                    // sum of the cotangents that have arrived; a leaf's gradient
  bool is_leaf_ = false;
  bool visited_ = false;  // by the current backward pass
  bool freed_ = false;    // by a backward pass
};

/// Receives the cotangents of an op's inputs from its backward.
class Grads {
 public:
  explicit Grads(Node& node) : node_(node) {}
  bool wanted(std::size_t input) const;
  /// Adds to the cotangent of that input; has no effect if none is needed.
  void add(std::size_t input, Tensor gradient);
  /// A tensor for an input's cotangent of the same shape as the output's: the output's own memory if nobody else holds it,
  /// which saves a pass through memory.
  static Tensor in_place_of(const Tensor& cotangent);

 private:
  static bool is_shared(const Tensor& tensor);
  Node& node_;
};

/// Whether ops are recorded: yes, unless a NoGrad exists on this thread.
class NoGrad {
 public:
  NoGrad();
  ~NoGrad();
  NoGrad(const NoGrad&) = delete;
  NoGrad& operator=(const NoGrad&) = delete;

 private:
  bool before_;
};

/// Recording and replaying; ops use record() below.
class Tape {
 public:
  static bool enabled() { return enabled_; }
  /// The node that receives the cotangent of `input`; null if none is needed.
  static const std::shared_ptr<Node>& node_of(const Tensor& input);
  static void set_node(const Tensor& output, std::shared_ptr<Node> node) { output.impl_->node = std::move(node); }
  static void backward(const Tensor& root, const Tensor& cotangent);

  static void set_leaf(const Tensor& tensor, bool wanted);
  static const Tensor& grad(const Tensor& leaf);
  static void clear_grad(const Tensor& leaf);

 private:
  friend class NoGrad;
  static constinit thread_local bool enabled_;
};

/// The node of an op. `Inputs`: an array or vector of nodes.
template <class Inputs, class Backward>
class OpNode final : public Node {
 public:
  OpNode(const char* name, Inputs inputs, Backward&& run) : Node(name), inputs_(std::move(inputs)), run_(std::move(run)) {
    set_inputs(inputs_);
  }
  ~OpNode() override { let_go(); }

 private:
  void backward(const Tensor& cotangent, Grads& grads) override { run_(cotangent, grads); }
  Inputs inputs_;
  Backward run_;
};

template <class Inputs, class Backward>
Tensor record_nodes(const char* name, Inputs inputs, Tensor output, Backward&& backward) {
  for (const std::shared_ptr<Node>& input : inputs) {
    if (!input) continue;
    Tape::set_node(output, std::make_shared<OpNode<Inputs, Backward>>(name, std::move(inputs), std::move(backward)));
    break;
  }
  return output;
}

/// Puts an op on the tape: `backward(cotangent, grads)` is called once if a gradient of one of `inputs` is needed. Returns
/// output. The inputs, in braces or as a span, are numbered from 0 in `grads`.
template <std::size_t n, class Backward>
Tensor record(const char* name, const std::reference_wrapper<const Tensor> (&inputs)[n], Tensor output, Backward backward) {
  if (!Tape::enabled()) return output;
  std::array<std::shared_ptr<Node>, n> nodes;
  for (std::size_t i = 0; i < n; ++i) nodes[i] = Tape::node_of(inputs[i]);
  return record_nodes(name, std::move(nodes), std::move(output), std::move(backward));
}
template <class Backward>
Tensor record(const char* name, std::span<const Tensor> inputs, Tensor output, Backward backward) {
  if (!Tape::enabled()) return output;
  std::vector<std::shared_ptr<Node>> nodes;
  for (const Tensor& input : inputs) nodes.push_back(Tape::node_of(input));
  return record_nodes(name, std::move(nodes), std::move(output), std::move(backward));
}

}  // namespace alma
