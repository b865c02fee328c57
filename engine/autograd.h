#pragma once
#include <memory>
#include <utility>
#include <vector>

#include "engine/tensor.h"

namespace alma {

class Grads;

/// What one op left on the tape: the way back. Owned by the op's output; saves only what its backward needs (in the
/// closure).
class Node {
 public:
  explicit Node(const char* name) : name_(name) {}
  virtual ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  const char* name() const { return name_; }

 protected:
  /// Adds the cotangents of the inputs that want one, given the output's.
  virtual void backward(const Tensor& cotangent, Grads& grads) = 0;

 private:
  friend class Tape;
  friend class Grads;
  struct Edge {
    std::shared_ptr<Node> node;          // the input came from an op,
    std::shared_ptr<Tensor::Impl> leaf;  // or is a leaf; neither: no gradient wanted
  };
  const char* name_;
  std::vector<Edge> edges_;
  Tensor pending_;        // sum of the cotangents that have arrived
  bool visited_ = false;  // by the backward pass under way
};

/// Where an op's backward puts the cotangents of its inputs.
class Grads {
 public:
  explicit Grads(Node& node) : node_(node) {}
  bool wanted(std::size_t input) const;
  /// Adds to the cotangent of that input; without effect where none is wanted.
  void add(std::size_t input, Tensor gradient);

 private:
  Node& node_;
};

/// Recording is on unless a NoGrad exists on this thread.
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
  /// True if an op on these inputs must be recorded.
  template <class Inputs>
  static bool wants(const Inputs& inputs) {
    if (!enabled()) return false;
    for (const Tensor& input : inputs)
      if (input.requires_grad()) return true;
    return false;
  }
  template <class Inputs>
  static void attach(std::shared_ptr<Node> node, const Inputs& inputs, const Tensor& output) {
    node->edges_.reserve(std::size(inputs));
    for (const Tensor& input : inputs) node->edges_.push_back(edge_to(input));
    set_node(output, std::move(node));
  }
  static void backward(const Tensor& root, const Tensor& cotangent);

 private:
  friend class NoGrad;
  static bool& enabled();
  static Node::Edge edge_to(const Tensor& input);
  static void set_node(const Tensor& output, std::shared_ptr<Node> node);
};

/// Puts an op on the tape: `backward(cotangent, grads)` is called once if a gradient for one of `inputs` is asked for.
/// Returns output. `inputs` is a list or vector of tensors, numbered from 0 in `grads`.
template <class Inputs, class Backward>
Tensor record(const char* name, const Inputs& inputs, Tensor output, Backward&& backward) {
  if (!Tape::wants(inputs)) return output;
  struct OpNode final : Node {
    OpNode(const char* op, Backward&& f) : Node(op), run(std::forward<Backward>(f)) {}
    void backward(const Tensor& cotangent, Grads& grads) override { run(cotangent, grads); }
    std::remove_cvref_t<Backward> run;
  };
  Tape::attach(std::make_shared<OpNode>(name, std::forward<Backward>(backward)), inputs, output);
  return output;
}
template <class Backward>
Tensor record(const char* name, std::initializer_list<Tensor> inputs, Tensor output, Backward&& backward) {
  return record<std::initializer_list<Tensor>, Backward>(name, inputs, std::move(output), std::forward<Backward>(backward));
}

}  // namespace alma
