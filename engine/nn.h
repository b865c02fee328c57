#pragma once
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/random.h"
#include "engine/pass.h"

namespace alma {

/// A function with state: parameters, which want a gradient, and others that do not, such as running statistics. They are
/// visited in a fixed order under fixed names: the order of initialisation, of the optimizer's slots and of a checkpoint.
///
/// It may be a stack of k modules of equal shapes, as stack() makes it: each tensor of its state has one more dimension, k,
/// at the front, and forward() takes k times as many rows, those of one member after those of another.
class Module {
 public:
  virtual ~Module() = default;
  /// x [rows, in] -> [rows, out].
  virtual Tensor forward(const Tensor& x, Pass& pass) = 0;
  /// Calls visit(name, tensor) for each tensor of the state; names are `prefix` and a path, such as "hidden.0.weight".
  using Visitor = std::function<void(const std::string& name, Tensor& tensor)>;
  virtual void visit(const Visitor& visitor, const std::string& prefix = "") = 0;
  /// A copy with tensors of its own in `context`.
  virtual std::unique_ptr<Module> clone(Context& context) const = 0;
};

/// All tensors of the state with their names, in order.
std::vector<NamedTensor> named_state(Module& module);
/// Those that are parameters.
std::vector<NamedTensor> named_parameters(Module& module);
/// Elements of the parameters.
std::int64_t count_parameters(Module& module);
/// Copies values between two lists of the same names and shapes.
void copy_tensors(const std::vector<NamedTensor>& from, const std::vector<NamedTensor>& to);

/// k tensors of one shape as one [k, ...], of which they are views from now on; a leaf if they are.
Tensor stack(std::span<Tensor* const> members);
/// k modules of equal shapes as one: it trains them side by side, as their tensors are views of its own from now on. Who has
/// taken tensors out of them before has the old ones.
std::unique_ptr<Module> stack(std::span<Module* const> members);

/// A parameter of values U(-bound, bound) from `random`.
Tensor uniform_parameter(Context& context, const Shape& shape, double bound, RandomStream& random, DType dtype);
/// A copy of a tensor of a module's state in another context: a parameter again if it was one.
Tensor clone_state(const Tensor& tensor, Context& context);

/// y = x weight^T + bias, then ReLU if asked. weight [out, in], bias [out].
class Linear final : public Module {
 public:
  /// PyTorch's default initialisation: kaiming-uniform with a = sqrt 5, which is U(-1/sqrt(in), 1/sqrt(in)), for both; drawn
  /// from `init` in the order weight, bias.
  Linear(Context& context, std::int64_t in, std::int64_t out, bool relu, RandomStream& init, DType dtype = DType::f32);
  Tensor forward(const Tensor& x, Pass& pass) override;
  void visit(const Visitor& visitor, const std::string& prefix) override;
  std::unique_ptr<Module> clone(Context& context) const override;
  /// How many are stacked; 1 by itself.
  std::int64_t members() const { return is_stack() ? weight_.dim(0) : 1; }

 private:
  bool is_stack() const { return weight_.shape().rank() == 3; }
  Linear(const Linear& other, Context& context);
  Tensor weight_, bias_;
  bool relu_;
};

/// One module after the other.
class Sequential final : public Module {
 public:
  void add(std::string name, std::unique_ptr<Module> module) { children_.emplace_back(std::move(name), std::move(module)); }
  Tensor forward(const Tensor& x, Pass& pass) override;
  void visit(const Visitor& visitor, const std::string& prefix) override;
  std::unique_ptr<Module> clone(Context& context) const override;

 private:
  std::vector<std::pair<std::string, std::unique_ptr<Module>>> children_;
};

}  // namespace alma
