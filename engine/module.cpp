#include "engine/module.h"

namespace alma {

void Module::visit(const Visitor& visitor, const std::string& prefix) {
  children(
      [&](const std::string& name, Module& child) { child.visit(visitor, name.empty() ? prefix : prefix + name + "."); });
}

std::vector<NamedTensor> named_state(Module& module) {
  std::vector<NamedTensor> tensors;
  module.visit([&](const std::string& name, Tensor& tensor) { tensors.emplace_back(name, tensor); });
  return tensors;
}

std::vector<NamedTensor> named_parameters(Module& module) {
  std::vector<NamedTensor> parameters = named_state(module);
  std::erase_if(parameters, [](const NamedTensor& tensor) { return !tensor.second.requires_grad(); });
  return parameters;
}

std::int64_t count_parameters(Module& module) {
  std::int64_t count = 0;
  for (const auto& [name, parameter] : named_parameters(module)) count += parameter.count();
  return count;
}

void copy_tensors(const std::vector<NamedTensor>& from, const std::vector<NamedTensor>& to) {
  if (from.size() != to.size()) fail("[copy_tensors] ", from.size(), " tensors for a model of ", to.size());
  for (std::size_t i = 0; i < from.size(); ++i) {
    if (from[i].first != to[i].first) fail("[copy_tensors] '", from[i].first, "' where the model has '", to[i].first, "'");
    to[i].second.copy_from(from[i].second);
  }
}

Tensor clone_state(const Tensor& tensor, Context& context) {
  return tensor.clone(context).set_requires_grad(tensor.requires_grad());
}

}  // namespace alma
