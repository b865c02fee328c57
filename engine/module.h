#pragma once
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "engine/pass.h"

namespace alma {

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

/// A copy of a tensor of a module's state in another context: a parameter again if it was one.
Tensor clone_state(const Tensor& tensor, Context& context);

}  // namespace alma
