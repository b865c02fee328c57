#include <algorithm>
#include <cmath>
#include <map>
#include <span>

#include "alma/learn/later_learners.h"
#include "engine/ops_loss.h"

namespace alma {

namespace {

constexpr std::int64_t kRowsAtOnce = 256;

/// The parameters of Linears and convolutions: weights, and biases beside them. Those of a normalisation are not shrunk.
std::vector<NamedTensor> layer_parameters(Module& model) {
  std::map<std::string, Tensor> all;
  for (const auto& [name, parameter] : named_parameters(model)) all[name] = parameter;
  std::vector<NamedTensor> of_layers;
  for (const auto& [name, parameter] : named_parameters(model)) {
    const std::string layer = name.substr(0, name.rfind('.') + 1);
    const auto weight = all.find(layer + "weight");
    if (weight != all.end() && weight->second.shape().rank() > 1) of_layers.emplace_back(name, parameter);
  }
  return of_layers;
}

/// The gradients of the mean loss over these samples, of `parameters` of the model.
std::vector<std::vector<float>> gradients(Module& model, const std::vector<NamedTensor>& parameters, const Samples& samples,
                                          std::span<const std::int32_t> chosen, const std::function<void()>& after_batch) {
  for (const auto& [name, parameter] : named_parameters(model)) parameter.clear_grad();
  Context& context = parameters.at(0).second.context();
  for_each_batch(samples, context, chosen, kRowsAtOnce, [&](const Batch& batch) {
    Pass pass{.purpose = Purpose::training};
    const std::int64_t predictions = batch.y.count() / batch.x.dim(0) * std::ssize(chosen);
    softmax_cross_entropy(model.forward(batch.x, pass), batch.y, {predictions}).backward();
    after_batch();
  });
  std::vector<std::vector<float>> all;
  for (const auto& [name, parameter] : parameters)
    all.push_back(parameter.grad().defined() ? parameter.grad().to_vector<float>()
                                             : std::vector<float>(static_cast<std::size_t>(parameter.count())));
  return all;
}

/// Multiplies a vector by its cosine with a direction, clamped to lambda .. 1; PyTorch's cosine of a vector of length 0 is
/// 0.
void shrink(std::span<float> weights, std::span<const double> direction, double lambda) {
  double product = 0, squares = 0, squares_of_direction = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    product += weights[i] * direction[i];
    squares += static_cast<double>(weights[i]) * weights[i];
    squares_of_direction += direction[i] * direction[i];
  }
  constexpr double least = 1e-8;  // of PyTorch's cosine_similarity, for the product of the lengths
  const double cosine = product / std::max(std::sqrt(squares) * std::sqrt(squares_of_direction), least);
  for (float& weight : weights) weight = static_cast<float>(weight * std::clamp(cosine, lambda, 1.0));
}

}  // namespace

void shrink_by_direction(Module& model, const Samples& samples, const MegaBatch& data, const DashSettings& settings,
                         const std::function<void()>& after_batch) {
  const std::vector<NamedTensor> parameters = layer_parameters(model);
  if (parameters.empty()) return;
  const auto copy = model.clone(parameters[0].second.context());
  const std::vector<NamedTensor> same = layer_parameters(*copy);
  std::vector<std::vector<double>> directions;
  for (const auto& [name, parameter] : parameters) directions.emplace_back(static_cast<std::size_t>(parameter.count()));
  const std::span<const std::int32_t> train = data.train;
  const std::size_t batch = data.arrived > 0 ? static_cast<std::size_t>(data.arrived) : train.size();
  for (std::size_t first = 0; first < train.size(); first += batch) {
    const auto found =
        gradients(*copy, same, samples, train.subspan(first, std::min(batch, train.size() - first)), after_batch);
    for (std::size_t p = 0; p < directions.size(); ++p)
      for (std::size_t i = 0; i < directions[p].size(); ++i)
        directions[p][i] = (1 - settings.alpha) * directions[p][i] - settings.alpha * static_cast<double>(found[p][i]);
  }
  for (std::size_t p = 0; p < parameters.size(); ++p) {
    const Tensor& parameter = parameters[p].second;
    std::vector<float> weights = parameter.to_vector<float>();
    const Shape& shape = parameter.shape();
    std::int64_t vectors = 1;  // a bias is one
    if (shape.rank() == 2) vectors = shape[0];
    if (shape.rank() == 4) vectors = shape[0] * shape[1];
    const std::size_t length = weights.size() / static_cast<std::size_t>(vectors);
    for (std::size_t at = 0; at < weights.size(); at += length)
      shrink(std::span(weights).subspan(at, length), std::span(directions[p]).subspan(at, length), settings.lambda);
    parameter.assign(std::span<const float>(weights));
  }
}

}  // namespace alma
