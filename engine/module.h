#pragma once
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "engine/pass.h"

namespace alma {

/// A function with state: parameters, which need a gradient, and other tensors, such as running statistics. They are visited
/// in a fixed order under fixed names; this is the order of initialisation, of the optimizer's state and of a checkpoint.
class Module {
 public:
  virtual ~Module() = default;
  /// x [rows, in] -> [rows, out].
  virtual Tensor forward(const Tensor& x, Pass& pass) = 0;
  /// Calls visit(name, tensor) for each tensor of the state; names are `prefix` and a path, such as "hidden.0.weight". A
  /// module with tensors of its own overrides this; by default the tensors are those of its children.
  using Visitor = std::function<void(const std::string& name, Tensor& tensor)>;
  virtual void visit(const Visitor& visitor, const std::string& prefix = "");
  /// Calls visit(name, child) for each child module, in the order of visit(). The names of a child's tensors begin with its
  /// name and a dot; an empty name adds nothing.
  using ChildVisitor = std::function<void(const std::string& name, Module& child)>;
  virtual void children(const ChildVisitor& /*visitor*/) {}
  /// The structure of the module without the values of its tensors, from which ModuleTypes::make() makes such a module.
  virtual nlohmann::json structure() const = 0;
  /// A copy with tensors of its own in `context`.
  virtual std::unique_ptr<Module> clone(Context& context) const = 0;
};

/// All tensors of the state with their names, in order.
std::vector<NamedTensor> named_state(Module& module);
/// The parameters among them.
std::vector<NamedTensor> named_parameters(Module& module);
/// The number of elements of all parameters.
std::int64_t count_parameters(Module& module);
/// Copies values between two lists of the same names and shapes.
void copy_tensors(const std::vector<NamedTensor>& from, const std::vector<NamedTensor>& to);

/// A copy of a tensor of a module's state in another context; the copy of a parameter is a parameter.
Tensor clone_state(const Tensor& tensor, Context& context);

}  // namespace alma
