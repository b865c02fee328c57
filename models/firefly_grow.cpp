#include <algorithm>
#include <cmath>
#include <compare>
#include <numeric>
#include <span>

#include "engine/autograd.h"
#include "engine/ops_conv.h"
#include "engine/ops_elementwise.h"
#include "engine/ops_images.h"
#include "engine/ops_matmul.h"
#include "engine/ops_shape.h"
#include "models/firefly.h"

namespace alma {

namespace {

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

Tensor flat(const Tensor& x) { return reshape(x, {x.dim(0), x.count() / x.dim(0)}); }

std::vector<std::int32_t> first_numbers(std::int64_t count) {
  std::vector<std::int32_t> numbers(static_cast<std::size_t>(count));
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

}  // namespace

namespace {

/// The score of number `elites` among all, or the largest if there are not so many.
double highest_chosen(const std::vector<std::vector<double>>& scores, std::int64_t elites) {
  std::vector<double> all;
  for (const std::vector<double>& of_layer : scores) all.insert(all.end(), of_layer.begin(), of_layer.end());
  const auto chosen = all.begin() + std::min<std::int64_t>(elites, std::ssize(all) - 1);
  std::nth_element(all.begin(), chosen, all.end());
  return *chosen;
}

}  // namespace

std::vector<Firefly::Chosen> Firefly::choose(std::vector<std::vector<double>> scores, std::int64_t elites) const {
  const double first = highest_chosen(scores, elites);
  struct Place {
    double below;        // the sum of what its candidates' scores lie below `first`, negated
    std::int64_t apart;  // the number of its candidates that are not chosen
    std::size_t layer;
    auto operator<=>(const Place&) const = default;
  };
  std::vector<Place> places;
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    if (!layers_[l].fresh_before.defined()) continue;
    Place place{0, 0, l};
    for (const double score : std::span(scores[l]).last(static_cast<std::size_t>(settings_.candidates))) {
      place.below += std::min(0.0, score - first);
      place.apart += score > first;
    }
    places.push_back(place);
  }
  std::ranges::sort(places);
  for (auto i = static_cast<std::size_t>(settings_.new_layers); i < places.size(); ++i) {
    std::vector<double>& of_layer = scores[places[i].layer];
    of_layer.resize(of_layer.size() - static_cast<std::size_t>(settings_.candidates));
  }
  const double most = highest_chosen(scores, elites);
  std::vector<Chosen> chosen(layers_.size());
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    const std::int64_t splits = settings_.width ? layers_[l].neurons() : 0;
    const std::int64_t own = settings_.width ? splits + settings_.candidates : 0;
    for (std::int64_t i = 0; i < std::ssize(scores[l]); ++i) {
      if (!(scores[l][static_cast<std::size_t>(i)] <= most)) continue;
      if (i < splits) {
        chosen[l].split.push_back(static_cast<std::int32_t>(i));
      } else if (i < own) {
        chosen[l].fresh.push_back(static_cast<std::int32_t>(i - splits));
      } else {
        chosen[l].before.push_back(static_cast<std::int32_t>(i - own));
      }
    }
  }
  return chosen;
}

std::int64_t Firefly::grow(const std::vector<std::vector<double>>& scores, std::int64_t elites) {
  std::int64_t all = 0;
  for (const std::vector<double>& of_layer : scores) all += std::ssize(of_layer);
  if (elites < 0 || elites >= all) fail("[firefly] ", elites, " of ", all, " candidates");
  const std::vector<Chosen> chosen = choose(scores, elites);
  const auto before = [&](std::size_t l) { return l == 0 ? Chosen{} : chosen[l - 1]; };
  const NoGrad off;
  resize_head(chosen.back());
  std::int64_t grown = 0;
  for (std::size_t l = layers_.size(); l-- > 0;) {
    grow_rows(layers_[l], chosen[l], before(l));
    if (!chosen[l].before.empty()) insert_layer(layers_[l], chosen[l], before(l));
    grown += std::ssize(chosen[l].split) + std::ssize(chosen[l].fresh) + std::ssize(chosen[l].before);
  }
  layers_.clear();  // with the candidates
  head_ = nullptr;
  add_layers(model_, nullptr);
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
  std::vector<Tensor> rows{weight};
  if (!own.split.empty()) {
    std::vector<double> signs(static_cast<std::size_t>(out));
    for (const std::int32_t i : own.split) signs[static_cast<std::size_t>(i)] = 1;
    const Tensor direction = flat(layer.split) * tensor_of(weight.context(), {out, 1}, signs, weight.dtype());
    rows[0] = (flat(weight) + direction).view(weight.shape());
    rows.push_back(rows_of((flat(weight) - direction).view(weight.shape()), own.split));
  }
  if (!own.fresh.empty()) rows.push_back(rows_of(layer.fresh, own.fresh));
  // The weights with which the new rows and the old ones read new neurons of the layer before.
  const auto columns = [&](const Tensor& outgoing, const std::vector<std::int32_t>& of) {
    if (of.empty()) return Tensor();
    std::vector<std::int32_t> of_rows = first_numbers(out);
    of_rows.insert(of_rows.end(), own.split.begin(), own.split.end());
    for (const std::int32_t i : own.fresh) of_rows.push_back(static_cast<std::int32_t>(out) + i);
    return columns_of(rows_of(outgoing, of_rows), of);
  };
  const Tensor grown = joined({grown_columns(joined(rows, 0), before.split, columns(layer.outgoing, before.fresh)),
                               columns(layer.outgoing_before, own.before)},
                              1);
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

// The layer behind has its weights already: for what comes to it now, and for the chosen candidates.
void Firefly::insert_layer(const Hidden& layer, const Chosen& own, const Chosen& before) {
  const Shape& shape = layer.weight().shape();
  Context& context = layer.weight().context();
  const DType dtype = layer.weight().dtype();
  const std::int64_t chosen = std::ssize(own.before), in = shape[1] - chosen, out = shape[1];
  Tensor of_new;
  if (!before.fresh.empty()) of_new = Tensor::zeros(context, with_first_two(shape, chosen, std::ssize(before.fresh)), dtype);
  const Tensor weight = concat({identity(context, with_first_two(shape, in, in), dtype),
                                grown_columns(rows_of(layer.fresh_before, own.before), before.split, of_new)},
                               0);
  RandomStream unused(0, "unused");  // all values are given
  if (layer.linear != nullptr) {
    auto linear = std::make_unique<Linear>(context, in, out, true, unused, dtype);
    linear->resize(weight, Tensor::zeros(context, {out}, dtype));
    layer.parent->insert(*layer.linear, "new", std::move(linear));
    return;
  }
  const bool bias = layer.bias().defined();
  auto conv = std::make_unique<Conv2d>(context, in, out, shape[2], bias, unused, dtype);
  conv->resize(weight, bias ? Tensor::zeros(context, {out}, dtype) : Tensor());
  auto norm = std::make_unique<BatchNorm2d>(context, out, true, dtype);
  const Tensor zeros = Tensor::zeros(context, {out}, dtype), ones = Tensor::full(context, {out}, dtype, 1);
  norm->resize({Tensor::full(context, {out}, dtype, std::sqrt(1 + norm->rule().epsilon)), zeros, zeros, ones});
  new_norms_.push_back({norm.get()});
  auto both = std::make_unique<Sequential>();
  both->add("conv", std::move(conv));
  both->add("norm", std::move(norm));
  layer.parent->insert(*layer.conv, "new", std::move(both));
}

void Firefly::learn_statistics(const Tensor& x) {
  const NoGrad off;
  Pass pass;
  Tensor y = images_or_rows(x);
  for (const Hidden& layer : layers_) {
    y = layer.conv->forward(y, pass);
    const auto of_layer = std::ranges::find(new_norms_, layer.norm, &NewNorm::norm);
    if (of_layer != new_norms_.end()) {
      const auto [gamma, beta, mean, variance] = layer.norm->tensors();
      BatchNormRule rule = layer.norm->rule();
      rule.momentum = 1 / static_cast<double>(++of_layer->batches);  // the mean of all batches
      batch_norm(y, gamma, beta, rule, mean, variance);
      std::vector<double> undone;
      for (const double v : doubles_of(variance)) undone.push_back(std::sqrt(v + rule.epsilon));
      layer.norm->resize({tensor_of(y.context(), gamma.shape(), undone, gamma.dtype()), mean.clone(), mean, variance});
    }
    y = layer.norm->forward(y, pass);
    if (layer.pool) y = max_pool(y, {2, 2, 2});
  }
}

}  // namespace alma
