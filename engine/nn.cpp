#include "engine/nn.h"

#include <algorithm>
#include <cmath>

#include "engine/ops_check.h"
#include "engine/ops_elementwise.h"
#include "engine/ops_matmul.h"
#include "engine/structure.h"

namespace alma {

Tensor stack(std::span<Tensor* const> members) {
  if (members.empty()) fail("[stack] no tensors");
  const Shape one = members[0]->shape();
  const bool leaf = members[0]->requires_grad();
  Shape shape{static_cast<std::int64_t>(members.size())};
  for (int i = 0; i < one.rank(); ++i) shape.push_back(one[i]);
  Tensor all = Tensor::empty(members[0]->context(), shape, members[0]->dtype());
  for (std::size_t i = 0; i < members.size(); ++i) {
    Tensor view = all.part(static_cast<std::int64_t>(i) * one.count(), one);
    view.copy_from(*members[i]);
    *members[i] = view.set_requires_grad(leaf);
  }
  return all.set_requires_grad(leaf);
}

Tensor tensor_of(Context& context, const Shape& shape, const std::vector<double>& values, DType dtype) {
  if (dtype == DType::f64) return Tensor::from(context, shape, values);
  return Tensor::from(context, shape, std::vector<float>(values.begin(), values.end()));
}

std::vector<double> doubles_of(const Tensor& tensor) {
  if (tensor.dtype() == DType::f64) return tensor.to_vector<double>();
  const std::vector<float> values = tensor.to_vector<float>();
  return {values.begin(), values.end()};
}

Tensor uniform_parameter(Context& context, const Shape& shape, double bound, RandomStream& random, DType dtype) {
  const auto count = static_cast<std::size_t>(shape.count());
  std::vector<double> values(count);
  for (double& value : values) value = random.uniform(-bound, bound);
  return tensor_of(context, shape, values, dtype).set_requires_grad(true);
}

Tensor normal_parameter(Context& context, const Shape& shape, double std, RandomStream& random, DType dtype) {
  std::vector<double> values(static_cast<std::size_t>(shape.count()));
  for (double& value : values) value = std * random.normal();
  return tensor_of(context, shape, values, dtype).set_requires_grad(true);
}

std::unique_ptr<Module> redrawn(const Module& module, std::int64_t outputs, RandomStream& init) {
  const auto* redrawable = dynamic_cast<const Redrawable*>(&module);
  if (redrawable == nullptr) fail("[redrawn] a module of type ", module.structure().at("type"), " cannot be drawn anew");
  return redrawable->redrawn(outputs, init);
}

Linear::Linear(Context& context, std::int64_t in, std::int64_t out, bool relu, RandomStream& init, DType dtype)
    : in_(in), out_(out), relu_(relu) {
  if (in < 1 || out < 1) fail("[linear] sizes must be at least 1, got in = ", in, ", out = ", out);
  const double bound = 1 / std::sqrt(static_cast<double>(in));
  weight_ = uniform_parameter(context, {out, in}, bound, init, dtype);
  bias_ = uniform_parameter(context, {out}, bound, init, dtype);
}

Linear::Linear(const Tensor& weight, const Tensor& bias, bool relu) : in_(0), out_(0), relu_(relu) { resize(weight, bias); }

Linear::Linear(const Linear& other, Context& context)
    : Module(),
      Redrawable(),
      in_(other.in_),
      out_(other.out_),
      weight_(clone_state(other.weight_, context)),
      bias_(clone_state(other.bias_, context)),
      relu_(other.relu_) {}

Linear::Linear(const Structure& structure)
    : in_(structure.size("in")),
      out_(structure.size("out")),
      weight_(structure.parameter({out_, in_})),
      bias_(structure.parameter({out_})),
      relu_(structure.flag("relu")) {}

nlohmann::json Linear::structure() const {
  return {{"type", type}, {"in", in_}, {"out", out_}, {"relu", relu_}, {"dtype", name_of(weight_.dtype())}};
}

Tensor Linear::forward(const Tensor& x, Pass& pass) {
  return pass.members == 0 ? linear(x, weight_, bias_, relu_) : stacked_linear(x, weight_, bias_, relu_);
}

void Linear::visit(const Visitor& visitor, const std::string& prefix) {
  visitor(prefix + "weight", weight_);
  visitor(prefix + "bias", bias_);
}

std::unique_ptr<Module> Linear::clone(Context& context) const { return std::unique_ptr<Module>(new Linear(*this, context)); }

void Linear::resize(const Tensor& weight, const Tensor& bias) {
  require_rank("linear", "weight", weight, 2);
  require_shape("linear", "bias", bias, {weight.dim(0)});
  out_ = weight.dim(0);
  in_ = weight.dim(1);
  weight_ = weight.detach().set_requires_grad(true);
  bias_ = bias.detach().set_requires_grad(true);
}

std::unique_ptr<Module> Linear::redrawn(std::int64_t outputs, RandomStream& init) const {
  return std::make_unique<Linear>(weight_.context(), in_, outputs, relu_, init, weight_.dtype());
}

Tensor Sequential::forward(const Tensor& x, Pass& pass) {
  Tensor y = x;
  for (auto& [name, child] : children_) y = child->forward(y, pass);
  return y;
}

void Sequential::children(const ChildVisitor& visitor) {
  for (auto& [name, child] : children_) visitor(name, *child);
}

void Sequential::insert(const Module& before, const std::string& stem, std::unique_ptr<Module> module) {
  const auto place = std::ranges::find(children_, &before, [](const auto& child) { return child.second.get(); });
  if (place == children_.end()) fail("[sequential] no child of type ", before.structure().at("type"), " to insert before");
  std::string name;
  for (int n = 0; name.empty() || std::ranges::count(children_, name, [](const auto& child) { return child.first; }) > 0;
       ++n)
    name = stem + '.' + std::to_string(n);
  children_.emplace(place, std::move(name), std::move(module));
}

Tensor GeluLayer::forward(const Tensor& x, Pass&) { return gelu(x); }

nlohmann::json GeluLayer::structure() const { return {{"type", type}}; }

Sequential::Sequential(const Structure& structure) : children_(structure.named_children("modules")) {}

nlohmann::json Sequential::structure() const {
  nlohmann::json modules = nlohmann::json::array();
  for (const auto& [name, child] : children_) modules.push_back({{"name", name}, {"module", child->structure()}});
  return {{"type", type}, {"modules", std::move(modules)}};
}

std::unique_ptr<Module> Sequential::clone(Context& context) const {
  auto copy = std::make_unique<Sequential>();
  for (const auto& [name, child] : children_) copy->add(name, child->clone(context));
  return copy;
}

namespace {

using Slots = std::vector<std::pair<std::string, Tensor*>>;

Slots slots_of(Module& module) {
  Slots slots;
  module.visit([&](const std::string& name, Tensor& tensor) { slots.emplace_back(name, &tensor); });
  return slots;
}

// For each tensor of the state, the corresponding tensors of all members.
std::vector<std::vector<Tensor*>> same_tensors(std::span<Module* const> members, const Slots& first) {
  std::vector<std::vector<Tensor*>> same(first.size());
  for (Module* member : members) {
    const Slots slots = slots_of(*member);
    if (slots.size() != first.size()) fail("[stack] a module of ", slots.size(), " tensors with one of ", first.size());
    for (std::size_t i = 0; i < first.size(); ++i) {
      const auto& [name, tensor] = slots[i];
      if (name != first[i].first || tensor->shape() != first[i].second->shape())
        fail("[stack] '", name, "' ", tensor->shape(), " with '", first[i].first, "' ", first[i].second->shape());
      same[i].push_back(tensor);
    }
  }
  return same;
}

}  // namespace

Stack::Stack(std::span<Module* const> members) : members_(static_cast<std::int64_t>(members.size())) {
  if (members.empty()) fail("[stack] no modules");
  const Slots first = slots_of(*members[0]);
  if (first.empty()) fail("[stack] modules without tensors");
  const auto same = same_tensors(members, first);
  model_ = members[0]->clone(first[0].second->context());
  const Slots slots = slots_of(*model_);
  for (std::size_t i = 0; i < slots.size(); ++i) *slots[i].second = stack(same[i]);
}

Stack::Stack(const Structure& structure) : members_(structure.size("members")) {
  constexpr std::int64_t most = 65'536;
  if (members_ > most) structure.refuse("at most ", most, " members, found ", members_);
  std::vector<std::unique_ptr<Module>> modules;
  std::vector<Module*> members;
  while (std::ssize(modules) < members_) {
    members.push_back(modules.emplace_back(structure.child("model")).get());
    // Known of the first: nothing but their tensors limits how many modules are made.
    if (members.size() == 1 && slots_of(*members[0]).empty()) structure.refuse("members without tensors");
  }
  model_ = std::move(Stack(members).model_);
}

Tensor Stack::forward(const Tensor& x, Pass& pass) {
  if (pass.members != 0) fail("[stack] a stack inside another one");
  pass.members = members_;
  const Tensor y = model_->forward(x, pass);
  pass.members = 0;
  return y;
}

nlohmann::json Stack::structure() const { return {{"type", type}, {"members", members_}, {"model", model_->structure()}}; }

std::unique_ptr<Module> Stack::clone(Context& context) const {
  return std::unique_ptr<Module>(new Stack(members_, model_->clone(context)));
}

}  // namespace alma
