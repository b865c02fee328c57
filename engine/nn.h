#pragma once
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "engine/module.h"

namespace alma {

class Structure;

/// Joins k tensors of one shape into one [k, ...], of which they become views; it is a leaf if they are.
Tensor stack(std::span<Tensor* const> members);
/// A tensor with these values, as f32 or f64.
Tensor tensor_of(Context& context, const Shape& shape, const std::vector<double>& values, DType dtype);
/// The values of an f32 or f64 tensor.
std::vector<double> doubles_of(const Tensor& tensor);
/// A parameter with values drawn from U(-bound, bound).
Tensor uniform_parameter(Context& context, const Shape& shape, double bound, RandomStream& random, DType dtype);
/// The same with values from N(0, std^2).
Tensor normal_parameter(Context& context, const Shape& shape, double std, RandomStream& random, DType dtype);

/// A module that can make one of its kind on the same inputs, with any number of outputs and new random weights: the gate of
/// a mixture whose experts split, for instance.
class Redrawable {
 public:
  virtual ~Redrawable() = default;
  virtual std::unique_ptr<Module> redrawn(std::int64_t outputs, RandomStream& init) const = 0;
};
/// The same of a module that must be redrawable; throws Error if it is not.
std::unique_ptr<Module> redrawn(const Module& module, std::int64_t outputs, RandomStream& init);

/// y = x weight^T + bias, optionally followed by ReLU. weight [out, in], bias [out].
class Linear final : public Module, public Redrawable {
 public:
  static constexpr const char* type = "linear";
  /// PyTorch's default initialisation: kaiming-uniform with a = sqrt 5, which is U(-1/sqrt(in), 1/sqrt(in)), for both; drawn
  /// from `init` in the order weight, bias.
  Linear(Context& context, std::int64_t in, std::int64_t out, bool relu, RandomStream& init, DType dtype = DType::f32);
  /// With these parameters.
  Linear(const Tensor& weight, const Tensor& bias, bool relu);
  explicit Linear(const Structure& structure);
  Tensor forward(const Tensor& x, Pass& pass) override;
  void visit(const Visitor& visitor, const std::string& prefix) override;
  nlohmann::json structure() const override;
  std::unique_ptr<Module> clone(Context& context) const override;
  std::unique_ptr<Module> redrawn(std::int64_t outputs, RandomStream& init) const override;

  const Tensor& weight() const { return weight_; }
  const Tensor& bias() const { return bias_; }
  bool relu() const { return relu_; }
  /// Gives the layer other parameters, weight [out, in] and bias [out] of any sizes.
  void resize(const Tensor& weight, const Tensor& bias);

 private:
  Linear(const Linear& other, Context& context);
  std::int64_t in_, out_;
  Tensor weight_, bias_;
  bool relu_;
};

/// gelu(), element by element.
class GeluLayer final : public Module {
 public:
  static constexpr const char* type = "gelu";
  GeluLayer() = default;
  explicit GeluLayer(const Structure&) {}
  Tensor forward(const Tensor& x, Pass& pass) override;
  nlohmann::json structure() const override;
  std::unique_ptr<Module> clone(Context&) const override { return std::make_unique<GeluLayer>(); }
};

/// A sequence of modules, applied one after the other.
class Sequential final : public Module {
 public:
  static constexpr const char* type = "sequential";
  Sequential() = default;
  explicit Sequential(const Structure& structure);
  void add(std::string name, std::unique_ptr<Module> module) { children_.emplace_back(std::move(name), std::move(module)); }
  /// Adds a module in front of the child `before`, under the name STEM.N with the lowest N that is not taken.
  void insert(const Module& before, const std::string& stem, std::unique_ptr<Module> module);
  Tensor forward(const Tensor& x, Pass& pass) override;
  void children(const ChildVisitor& visitor) override;
  nlohmann::json structure() const override;
  std::unique_ptr<Module> clone(Context& context) const override;

 private:
  std::vector<std::pair<std::string, std::unique_ptr<Module>>> children_;
};

/// k modules of equal shapes as one module: each tensor of its state has a leading dimension k, and forward() takes k times
/// as many rows, those of one member after those of another. The pass tells its children that they are in a stack.
class Stack final : public Module {
 public:
  static constexpr const char* type = "stack";
  /// Makes a stack of `members`, whose tensors become views of the stack's. Copies of their tensors taken before refer to
  /// the old memory.
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
  std::unique_ptr<Module> model_;  // has one member's structure and the tensors of all
};

}  // namespace alma
