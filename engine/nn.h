#pragma once
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "base/random.h"
#include "engine/pass.h"

namespace alma {

class Structure;

/// A function with state: parameters, which want a gradient, and others that do not, such as running statistics. They are
/// visited in a fixed order under fixed names: the order of initialisation, of the optimizer's slots and of a checkpoint.
class Module {
 public:
  virtual ~Module() = default;
  /// x [rows, in] -> [rows, out].
  virtual Tensor forward(const Tensor& x, Pass& pass) = 0;
  /// Calls visit(name, tensor) for each tensor of the state; names are `prefix` and a path, such as "hidden.0.weight".
  /// A module that has tensors itself says so; by default they are its children's.
  using Visitor = std::function<void(const std::string& name, Tensor& tensor)>;
  virtual void visit(const Visitor& visitor, const std::string& prefix = "");
  /// Calls visit(name, child) for each module that this one is made of, in the order of visit(). A child's tensors have its
  /// name and a dot before theirs; an empty name adds nothing.
  using ChildVisitor = std::function<void(const std::string& name, Module& child)>;
  virtual void children(const ChildVisitor& /*visitor*/) {}
  /// What it is and what it is made of, without the values of its tensors: ModuleTypes::make() makes such a module from it.
  virtual nlohmann::json structure() const = 0;
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
/// A parameter of values U(-bound, bound) from `random`.
Tensor uniform_parameter(Context& context, const Shape& shape, double bound, RandomStream& random, DType dtype);
/// A copy of a tensor of a module's state in another context: a parameter again if it was one.
Tensor clone_state(const Tensor& tensor, Context& context);

/// y = x weight^T + bias, then ReLU if asked. weight [out, in], bias [out].
class Linear final : public Module {
 public:
  static constexpr const char* type = "linear";
  /// PyTorch's default initialisation: kaiming-uniform with a = sqrt 5, which is U(-1/sqrt(in), 1/sqrt(in)), for both; drawn
  /// from `init` in the order weight, bias.
  Linear(Context& context, std::int64_t in, std::int64_t out, bool relu, RandomStream& init, DType dtype = DType::f32);
  explicit Linear(const Structure& structure);
  Tensor forward(const Tensor& x, Pass& pass) override;
  void visit(const Visitor& visitor, const std::string& prefix) override;
  nlohmann::json structure() const override;
  std::unique_ptr<Module> clone(Context& context) const override;

 private:
  Linear(const Linear& other, Context& context);
  std::int64_t in_, out_;
  Tensor weight_, bias_;
  bool relu_;
};

/// One module after the other.
class Sequential final : public Module {
 public:
  static constexpr const char* type = "sequential";
  Sequential() = default;
  explicit Sequential(const Structure& structure);
  void add(std::string name, std::unique_ptr<Module> module) { children_.emplace_back(std::move(name), std::move(module)); }
  Tensor forward(const Tensor& x, Pass& pass) override;
  void children(const ChildVisitor& visitor) override;
  nlohmann::json structure() const override;
  std::unique_ptr<Module> clone(Context& context) const override;

 private:
  std::vector<std::pair<std::string, std::unique_ptr<Module>>> children_;
};

/// k modules of equal shapes as one: each tensor of its state has one more dimension, k, at the front, and forward() takes k
/// times as many rows, those of one member after those of another. It tells its parts by the pass.
class Stack final : public Module {
 public:
  static constexpr const char* type = "stack";
  /// Trains `members` side by side: their tensors are views of its own from now on. Who has taken tensors out of them before
  /// has the old ones.
  explicit Stack(std::span<Module* const> members);
  explicit Stack(const Structure& structure);
  Tensor forward(const Tensor& x, Pass& pass) override;
  void children(const ChildVisitor& visitor) override { visitor("", *model_); }
  nlohmann::json structure() const override;
  std::unique_ptr<Module> clone(Context& context) const override;
  std::int64_t members() const { return members_; }

 private:
  Stack(std::int64_t members, std::unique_ptr<Module> model) : members_(members), model_(std::move(model)) {}
  std::int64_t members_;
  std::unique_ptr<Module> model_;  // of one member's structure, with the tensors of all
};

}  // namespace alma
