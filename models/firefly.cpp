#include "models/firefly.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/autograd.h"
#include "engine/ops_conv.h"
#include "engine/ops_elementwise.h"
#include "engine/ops_images.h"
#include "engine/ops_matmul.h"
#include "engine/ops_reduce.h"
#include "engine/ops_shape.h"

namespace alma {

namespace {

/// A leaf with values draw().
template <class Draw>
Tensor drawn(const Tensor& like, const Shape& shape, const Draw& draw) {
  std::vector<double> values(static_cast<std::size_t>(shape.count()));
  for (double& value : values) value = draw();
  return tensor_of(like.context(), shape, values, like.dtype()).set_requires_grad(true);
}

/// The sum of the elements of each row of a * b.
std::vector<double> row_products(const Tensor& a, const Tensor& b) {
  const std::vector<double> x = doubles_of(a), y = doubles_of(b);
  std::vector<double> sums(static_cast<std::size_t>(a.dim(0)));
  const std::size_t length = x.size() / sums.size();
  for (std::size_t i = 0; i < x.size(); ++i) sums[i / length] += x[i] * y[i];
  return sums;
}

}  // namespace

Shape Firefly::with_first_two(const Shape& shape, std::int64_t a, std::int64_t b) {
  Shape other{a, b};
  for (int i = 2; i < shape.rank(); ++i) other.push_back(shape[i]);
  return other;
}

Tensor Firefly::identity(Context& context, const Shape& shape, DType dtype) {
  const std::int64_t neurons = shape[0], area = shape.count() / (neurons * neurons);
  std::vector<double> values(static_cast<std::size_t>(shape.count()));
  for (std::int64_t i = 0; i < neurons; ++i) values[static_cast<std::size_t>((i * neurons + i) * area + area / 2)] = 1;
  return tensor_of(context, shape, values, dtype);
}

Firefly::Firefly(Module& model, const FireflySettings& settings, RandomStream& init) : settings_(settings), model_(model) {
  add_layers(model, nullptr);
  if (head_ == nullptr || layers_.empty()) fail("[firefly] a network without hidden layers and a last Linear");
  if (!settings.width && layers_.size() < 2) fail("[firefly] new layers go between hidden layers, of which there is one");
  draw_candidates(init);
}

void Firefly::draw_candidates(RandomStream& init) {
  const auto uniform = [&](double bound) { return [&init, bound] { return init.uniform(-bound, bound); }; };
  const auto normal = [&init] { return 0.1 * init.normal(); };
  const std::int64_t k = settings_.candidates;
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    Hidden& layer = layers_[l];
    const Tensor& weight = layer.weight();
    const Shape& shape = weight.shape();
    if (settings_.width) {
      layer.split = drawn(weight, shape, uniform(0.1));
      if (l > 0) layer.outgoing = drawn(weight, with_first_two(shape, shape[0] + k, k), uniform(0.01));
      layer.fresh = drawn(weight, with_first_two(shape, k, shape[1]), normal);
    }
    if (l > 0 && settings_.new_layers > 0) {
      layer.fresh_before = drawn(weight, with_first_two(shape, k, shape[1]), normal);
      layer.outgoing_before = drawn(weight, with_first_two(shape, shape[0] + (settings_.width ? k : 0), k), uniform(0.01));
    }
  }
  if (settings_.width) head_outgoing_ = drawn(head_->weight(), {head_->weight().dim(0), k}, uniform(0.01));
}

void Firefly::add_layers(Module& module, Sequential* parent) {
  bool leaf = true;
  module.children([&](const std::string&, Module& child) {
    leaf = false;
    add_layers(child, dynamic_cast<Sequential*>(&module));
  });
  if (!leaf) return;
  const std::string type = module.structure().at("type");
  const auto refuse = [&] { fail("[firefly] ", type, " does not fit into a chain of layers that can grow"); };
  if (head_ != nullptr) refuse();  // something after the last Linear
  if (auto* linear = dynamic_cast<Linear*>(&module)) {
    if (!linear->relu()) {
      head_ = linear;
    } else {
      if (!layers_.empty() && layers_.back().conv != nullptr) refuse();
      layers_.push_back({.parent = parent, .linear = linear});
    }
  } else if (auto* conv = dynamic_cast<Conv2d*>(&module)) {
    if (!layers_.empty() && layers_.back().norm == nullptr) refuse();
    layers_.push_back({.parent = parent, .conv = conv});
  } else if (auto* norm = dynamic_cast<BatchNorm2d*>(&module)) {
    if (layers_.empty() || layers_.back().conv == nullptr || layers_.back().norm != nullptr || !norm->rule().relu) refuse();
    layers_.back().norm = norm;
  } else if (type == "max_pool") {
    if (layers_.empty() || layers_.back().norm == nullptr || layers_.back().pool) refuse();
    layers_.back().pool = true;
  } else {
    refuse();
  }
}

std::int64_t Firefly::neurons() const {
  std::int64_t neurons = 0;
  for (const Hidden& layer : layers_) neurons += layer.neurons();
  return neurons;
}

// A layer with candidates is a layer of 2 out + candidates neurons: the split ones, plus and minus, and the new ones. What
// they make of a split neuron of the layer before is the mean of its two halves, that is, half of each. A place in front of
// it is a layer that passes on what comes to it beside its candidates, which read the layer before without its new neurons.
Tensor Firefly::forward_layer(const Hidden& layer, const Tensor& x, bool doubled) const {
  const Tensor weight = layer.weight().detach();
  const std::int64_t out = weight.dim(0), k = settings_.candidates;
  const bool width = settings_.width;
  const auto of_old = [&](const Tensor& w) { return doubled ? concat({0.5 * w, 0.5 * w}, 1) : w; };
  const auto row = [&](const Tensor& w, std::int64_t first, std::int64_t last) {
    return layer.outgoing.defined() ? concat({of_old(w), slice(layer.outgoing, 0, first, last)}, 1) : of_old(w);
  };
  Tensor all =
      width
          ? concat({row(weight + layer.split, 0, out), row(weight - layer.split, 0, out), row(layer.fresh, out, out + k)}, 0)
          : weight;
  const auto of_all = [&](const Tensor& old, double fresh) {
    const Tensor one = old.detach();
    return width ? concat({one, one, Tensor::full(old.context(), {k}, old.dtype(), fresh)}, 0) : one;
  };
  Tensor y = x;
  if (layer.fresh_before.defined()) {
    y = forward_place(layer, x, of_old(layer.fresh_before));
    const auto rows = [&](std::int64_t first, std::int64_t last) { return slice(layer.outgoing_before, 0, first, last); };
    all = concat({all, width ? concat({rows(0, out), rows(0, out), rows(out, out + k)}, 0) : layer.outgoing_before}, 1);
  }
  const Tensor bias = layer.bias().defined() ? of_all(layer.bias(), 0) : Tensor();
  if (layer.linear != nullptr) return linear(y, all, bias, true);
  const auto [gamma, beta, mean, variance] = layer.norm->tensors();
  return batch_norm_inference(conv2d(y, all, bias, layer.conv->geometry()), of_all(gamma, 1), of_all(beta, 0),
                              layer.norm->rule(), of_all(mean, 0), of_all(variance, 1));
}

Tensor Firefly::forward_place(const Hidden& layer, const Tensor& x, const Tensor& fresh) const {
  const std::int64_t in = x.dim(1), k = settings_.candidates;
  std::vector<Tensor> rows{fresh};
  if (in > fresh.dim(1))
    rows.push_back(Tensor::zeros(x.context(), with_first_two(fresh.shape(), k, in - fresh.dim(1)), fresh.dtype()));
  const Tensor all = concat({identity(x.context(), with_first_two(fresh.shape(), in, in), fresh.dtype()),
                             rows.size() == 1 ? fresh : concat(rows, 1)},
                            0);
  if (layer.linear != nullptr) return linear(x, all, {}, true);
  const auto numbers = [&](double value) { return Tensor::full(x.context(), {in + k}, fresh.dtype(), value); };
  const BatchNormRule rule = layer.norm->rule();
  return batch_norm_inference(conv2d(x, all, {}, layer.conv->geometry()), numbers(1), numbers(0), rule, numbers(0),
                              numbers(1 - rule.epsilon));  // ReLU alone
}

namespace {

/// [a+, a-, new] channels become [(a+ + a-) / 2, new], by a convolution of 1 x 1.
Tensor halves_averaged(const Tensor& x, std::int64_t out, std::int64_t k) {
  std::vector<double> weights(static_cast<std::size_t>((out + k) * (2 * out + k)));
  const auto at = [&](std::int64_t row, std::int64_t column) -> double& {
    return weights[static_cast<std::size_t>(row * (2 * out + k) + column)];
  };
  for (std::int64_t i = 0; i < out; ++i) at(i, i) = at(i, out + i) = 0.5;
  for (std::int64_t i = 0; i < k; ++i) at(out + i, 2 * out + i) = 1;
  return conv2d(x, tensor_of(x.context(), {out + k, 2 * out + k, 1, 1}, weights, x.dtype()), {}, {});
}

}  // namespace

Tensor Firefly::images_or_rows(const Tensor& x) const {
  if (layers_[0].conv == nullptr) return x;
  const std::int64_t channels = layers_[0].weight().dim(1);
  const auto side = static_cast<std::int64_t>(std::lround(std::sqrt(static_cast<double>(x.dim(1) / channels))));
  return images_of(x, channels, side, side);
}

Tensor Firefly::forward(const Tensor& x) const {
  Tensor y = images_or_rows(x);
  bool doubled = false;
  for (const Hidden& layer : layers_) {
    y = forward_layer(layer, y, doubled);
    doubled = settings_.width && !layer.pool;
    if (!layer.pool) continue;
    if (settings_.width) y = halves_averaged(y, layer.neurons(), settings_.candidates);
    y = max_pool(y, {2, 2, 2});
  }
  Tensor weight = head_->weight().detach();
  if (doubled) weight = concat({0.5 * weight, 0.5 * weight}, 1);
  if (settings_.width) weight = concat({weight, head_outgoing_}, 1);
  if (layers_[0].conv != nullptr) y = reshape(to_layout(y, Layout::row_major), {x.dim(0), y.count() / x.dim(0)});
  return linear(y, weight, head_->bias().detach());
}

Tensor Firefly::penalty() const {
  Tensor all;
  const auto add = [&](double factor, const Tensor& x) {
    if (!x.defined()) return;
    const Tensor one = factor * sum(x * x);
    all = all.defined() ? all + one : one;
  };
  for (const Hidden& layer : layers_) {
    add(settings_.penalty, layer.split);
    add(settings_.new_penalty, layer.fresh);
    add(settings_.new_penalty, layer.fresh_before);
  }
  return all;
}

std::vector<NamedTensor> Firefly::candidates() const {
  std::vector<NamedTensor> all;
  const auto add = [&](std::size_t layer, const char* name, const Tensor& x) {
    if (x.defined()) all.emplace_back(std::to_string(layer) + '.' + name, x);
  };
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    add(l, "split", layers_[l].split);
    add(l, "outgoing", layers_[l].outgoing);
    add(l, "new", layers_[l].fresh);
    add(l, "before.new", layers_[l].fresh_before);
    add(l, "before.outgoing", layers_[l].outgoing_before);
  }
  add(layers_.size(), "outgoing", head_outgoing_);
  return all;
}

std::vector<std::int64_t> Firefly::counts() const {
  std::vector<std::int64_t> counts;
  for (const Hidden& layer : layers_)
    counts.push_back((settings_.width ? layer.neurons() + settings_.candidates : 0) +
                     (layer.fresh_before.defined() ? settings_.candidates : 0));
  return counts;
}

// A candidate's output is its strength times what its weights make of the input, so that the derivative for the strength, at
// 1, is the product of weights and gradient.
std::vector<std::vector<double>> Firefly::scores(std::int64_t batches) const {
  std::vector<std::vector<double>> all;
  for (const Hidden& layer : layers_) {
    std::vector<double> scores;
    for (const Tensor& incoming : {layer.split, layer.fresh, layer.fresh_before})
      if (incoming.defined())
        for (const double score : row_products(incoming, incoming.grad()))
          scores.push_back(score / static_cast<double>(batches));
    all.push_back(std::move(scores));
  }
  return all;
}

}  // namespace alma
