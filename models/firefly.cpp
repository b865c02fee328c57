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

Shape with_first_two(const Shape& shape, std::int64_t a, std::int64_t b) {
  Shape other{a, b};
  for (int i = 2; i < shape.rank(); ++i) other.push_back(shape[i]);
  return other;
}

/// A leaf with values draw().
template <class Draw>
Tensor drawn(const Tensor& like, const Shape& shape, const Draw& draw) {
  std::vector<double> values(static_cast<std::size_t>(shape.count()));
  for (double& value : values) value = draw();
  return tensor_of(like.context(), shape, values, like.dtype()).set_requires_grad(true);
}

/// Of rows [out, ...]: these, in this order.
Tensor rows_of(const Tensor& x, const std::vector<std::int32_t>& rows) {
  const auto count = static_cast<std::int64_t>(rows.size());
  const Tensor flat = gather(reshape(x, {x.dim(0), x.count() / x.dim(0)}), Tensor::from(x.context(), {count}, rows));
  Shape shape{count};
  for (int i = 1; i < x.shape().rank(); ++i) shape.push_back(x.dim(i));
  return flat.view(shape);
}

Tensor columns_of(const Tensor& x, const std::vector<std::int32_t>& columns) {
  return swap_first_two(rows_of(swap_first_two(x), columns));
}

Tensor joined(std::vector<Tensor> parts, int axis) {
  std::erase_if(parts, [](const Tensor& part) { return !part.defined() || part.dim(0) == 0 || part.count() == 0; });
  return parts.size() == 1 ? parts[0] : concat(parts, axis);
}

/// The sum of the elements of each row of a * b.
std::vector<double> row_products(const Tensor& a, const Tensor& b) {
  const auto x = a.to_vector<float>(), y = b.to_vector<float>();
  std::vector<double> sums(static_cast<std::size_t>(a.dim(0)));
  const std::size_t length = x.size() / sums.size();
  for (std::size_t i = 0; i < x.size(); ++i) sums[i / length] += static_cast<double>(x[i]) * static_cast<double>(y[i]);
  return sums;
}

}  // namespace

Firefly::Firefly(Module& model, const FireflySettings& settings, RandomStream& init) : settings_(settings) {
  add_layers(model);
  if (head_ == nullptr || layers_.empty()) fail("[firefly] a network without hidden layers and a last Linear");
  const auto uniform = [&](double bound) { return [&init, bound] { return init.uniform(-bound, bound); }; };
  const auto normal = [&init] { return 0.1 * init.normal(); };
  const std::int64_t k = settings.candidates;
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    Hidden& layer = layers_[l];
    const Tensor& weight = layer.weight();
    const Shape& shape = weight.shape();
    layer.split = drawn(weight, shape, uniform(0.1));
    if (l > 0) layer.outgoing = drawn(weight, with_first_two(shape, shape[0] + k, k), uniform(0.01));
    layer.fresh = drawn(weight, with_first_two(shape, k, shape[1]), normal);
  }
  head_outgoing_ = drawn(head_->weight(), {head_->weight().dim(0), k}, uniform(0.01));
}

void Firefly::add_layers(Module& module) {
  bool leaf = true;
  module.children([&](const std::string&, Module& child) {
    leaf = false;
    add_layers(child);
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
      layers_.push_back({.linear = linear});
    }
  } else if (auto* conv = dynamic_cast<Conv2d*>(&module)) {
    if (!layers_.empty() && layers_.back().norm == nullptr) refuse();
    layers_.push_back({.conv = conv});
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
// they make of a split neuron of the layer before is the mean of its two halves, that is, half of each.
Tensor Firefly::forward_layer(const Hidden& layer, const Tensor& x, bool doubled) const {
  const Tensor weight = layer.weight().detach();
  const std::int64_t out = weight.dim(0), k = settings_.candidates;
  const auto of_old = [&](const Tensor& w) { return doubled ? concat({0.5 * w, 0.5 * w}, 1) : w; };
  const auto row = [&](const Tensor& w, std::int64_t first, std::int64_t last) {
    return layer.outgoing.defined() ? concat({of_old(w), slice(layer.outgoing, 0, first, last)}, 1) : of_old(w);
  };
  const Tensor all =
      concat({row(weight + layer.split, 0, out), row(weight - layer.split, 0, out), row(layer.fresh, out, out + k)}, 0);
  const auto of_all = [&](const Tensor& old, double fresh) {
    const Tensor one = old.detach();
    return concat({one, one, Tensor::full(old.context(), {k}, old.dtype(), fresh)}, 0);
  };
  const Tensor bias = layer.bias().defined() ? of_all(layer.bias(), 0) : Tensor();
  if (layer.linear != nullptr) return linear(x, all, bias, true);
  const auto [gamma, beta, mean, variance] = layer.norm->tensors();
  return batch_norm_inference(conv2d(x, all, bias, layer.conv->geometry()), of_all(gamma, 1), of_all(beta, 0),
                              layer.norm->rule(), of_all(mean, 0), of_all(variance, 1));
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

Tensor Firefly::forward(const Tensor& x) const {
  Tensor y = x;
  if (layers_[0].conv != nullptr) {
    const std::int64_t channels = layers_[0].weight().dim(1);
    const auto side = static_cast<std::int64_t>(std::lround(std::sqrt(static_cast<double>(x.dim(1) / channels))));
    y = images_of(x, channels, side, side);
  }
  bool doubled = false;
  for (const Hidden& layer : layers_) {
    y = forward_layer(layer, y, doubled);
    doubled = !layer.pool;
    if (layer.pool) y = max_pool(halves_averaged(y, layer.neurons(), settings_.candidates), {2, 2, 2});
  }
  const Tensor weight = head_->weight().detach();
  const Tensor old = doubled ? concat({0.5 * weight, 0.5 * weight}, 1) : weight;
  if (layers_[0].conv != nullptr) y = reshape(to_layout(y, Layout::row_major), {x.dim(0), y.count() / x.dim(0)});
  return linear(y, concat({old, head_outgoing_}, 1), head_->bias().detach());
}

Tensor Firefly::penalty() const {
  Tensor all;
  const auto add = [&](double factor, const Tensor& x) {
    const Tensor one = factor * sum(x * x);
    all = all.defined() ? all + one : one;
  };
  for (const Hidden& layer : layers_) {
    add(settings_.penalty, layer.split);
    add(settings_.new_penalty, layer.fresh);
  }
  return all;
}

std::vector<NamedTensor> Firefly::candidates() const {
  std::vector<NamedTensor> all;
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    const std::string name = std::to_string(l) + ".";
    all.emplace_back(name + "split", layers_[l].split);
    if (l > 0) all.emplace_back(name + "outgoing", layers_[l].outgoing);
    all.emplace_back(name + "new", layers_[l].fresh);
  }
  all.emplace_back(std::to_string(layers_.size()) + ".outgoing", head_outgoing_);
  return all;
}

// A candidate's output is its strength times what its weights make of the input, so that the derivative for the strength, at
// 1, is the product of weights and gradient.
std::vector<std::vector<double>> Firefly::scores(std::int64_t batches) const {
  std::vector<std::vector<double>> all;
  for (const Hidden& layer : layers_) {
    std::vector<double> scores = row_products(layer.split, layer.split.grad());
    for (const double score : row_products(layer.fresh, layer.fresh.grad())) scores.push_back(score);
    for (double& score : scores) score /= static_cast<double>(batches);
    all.push_back(std::move(scores));
  }
  return all;
}

std::int64_t Firefly::grow(const std::vector<std::vector<double>>& scores, std::int64_t elites) {
  std::vector<double> sorted;
  for (const std::vector<double>& of_layer : scores) sorted.insert(sorted.end(), of_layer.begin(), of_layer.end());
  if (elites < 0 || elites >= std::ssize(sorted)) fail("[firefly] ", elites, " of ", sorted.size(), " candidates");
  std::nth_element(sorted.begin(), sorted.begin() + elites, sorted.end());
  const double most = sorted[static_cast<std::size_t>(elites)];
  std::vector<Chosen> chosen(layers_.size());
  std::int64_t grown = 0;
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    const std::int64_t out = layers_[l].neurons();
    for (std::int32_t i = 0; i < std::ssize(scores[l]); ++i)
      if (scores[l][static_cast<std::size_t>(i)] <= most) {
        ++grown;
        i < out ? chosen[l].split.push_back(i) : chosen[l].fresh.push_back(static_cast<std::int32_t>(i - out));
      }
  }
  const NoGrad off;
  resize_head(chosen.back());
  for (std::size_t l = layers_.size(); l-- > 0;) grow_rows(layers_[l], chosen[l], l == 0 ? Chosen{} : chosen[l - 1]);
  return grown;
}

namespace {

/// The columns of a weight that reads a layer which has grown: those of a split neuron are halved, and there once more for
/// its other half; then the new ones.
Tensor grown_columns(const Tensor& weight, const std::vector<std::int32_t>& split, const Tensor& fresh) {
  if (split.empty()) return joined({weight, fresh}, 1);
  std::vector<double> factors(static_cast<std::size_t>(weight.dim(1)), 1.0);
  for (const std::int32_t i : split) factors[static_cast<std::size_t>(i)] = 0.5;
  const Tensor factor = tensor_of(weight.context(), {weight.dim(1), 1}, factors, weight.dtype());
  const Tensor by_column = swap_first_two(weight);
  const Tensor halved =
      swap_first_two((reshape(by_column, {weight.dim(1), weight.count() / weight.dim(1)}) * factor).view(by_column.shape()));
  return joined({halved, columns_of(halved, split), fresh}, 1);
}

}  // namespace

void Firefly::resize_head(const Chosen& before) const {
  const Tensor& weight = head_->weight();
  Tensor fresh;
  if (!before.fresh.empty())
    fresh = Tensor::zeros(weight.context(), {weight.dim(0), std::ssize(before.fresh)}, weight.dtype());
  head_->resize(grown_columns(weight, before.split, fresh), head_->bias());
}

void Firefly::grow_rows(const Hidden& layer, const Chosen& own, const Chosen& before) const {
  const Tensor weight = layer.weight().detach();
  const std::int64_t out = weight.dim(0);
  // Plus the direction where a neuron is split, minus it in the other half.
  std::vector<double> signs(static_cast<std::size_t>(out));
  for (const std::int32_t i : own.split) signs[static_cast<std::size_t>(i)] = 1;
  const Tensor sign = tensor_of(weight.context(), {out, 1}, signs, weight.dtype());
  const auto flat = [](const Tensor& x) { return reshape(x, {x.dim(0), x.count() / x.dim(0)}); };
  const Tensor plus = (flat(weight) + flat(layer.split) * sign).view(weight.shape());
  std::vector<Tensor> rows{plus};
  if (!own.split.empty()) rows.push_back(rows_of((flat(weight) - flat(layer.split) * sign).view(weight.shape()), own.split));
  if (!own.fresh.empty()) rows.push_back(rows_of(layer.fresh, own.fresh));
  Tensor fresh;  // columns
  if (!before.fresh.empty()) {
    std::vector<std::int32_t> of_rows;
    for (std::int32_t i = 0; i < out; ++i) of_rows.push_back(i);
    of_rows.insert(of_rows.end(), own.split.begin(), own.split.end());
    for (const std::int32_t i : own.fresh) of_rows.push_back(static_cast<std::int32_t>(out) + i);
    fresh = columns_of(rows_of(layer.outgoing, of_rows), before.fresh);
  }
  const Tensor grown = grown_columns(joined(rows, 0), before.split, fresh);
  // One number per neuron: its own for both halves, and that of a new one.
  const auto numbers = [&](const Tensor& of, double value) {
    if (!of.defined()) return of;
    std::vector<Tensor> parts{of.detach()};
    if (!own.split.empty()) parts.push_back(rows_of(of.view({out, 1}), own.split).view({std::ssize(own.split)}));
    if (!own.fresh.empty()) parts.push_back(Tensor::full(of.context(), {std::ssize(own.fresh)}, of.dtype(), value));
    return joined(parts, 0);
  };
  if (layer.linear != nullptr) {
    layer.linear->resize(grown, numbers(layer.bias(), 0));
    return;
  }
  layer.conv->resize(grown, numbers(layer.bias(), 0));
  const auto [gamma, beta, mean, variance] = layer.norm->tensors();
  layer.norm->resize({numbers(gamma, 1), numbers(beta, 0), numbers(mean, 0), numbers(variance, 1)});
}

}  // namespace alma
