#include "alma/learn/boosting.h"

#include <algorithm>
#include <cmath>

#include "engine/autograd.h"
#include "engine/ops_reduce.h"

namespace alma {

std::vector<bool> mistakes(Module& model, const Samples& samples, const std::vector<std::int32_t>& chosen) {
  const NoGrad off;
  Context& context = named_state(model).at(0).second.context();
  std::vector<bool> wrong;
  for_each_batch(samples, context, chosen, samples.evaluation_batch(), [&](const Batch& batch) {
    Pass pass;
    const auto found = argmax(model.forward(batch.x, pass)).to_vector<std::int32_t>();
    const auto labels = batch.y.to_vector<std::int32_t>();
    for (std::size_t i = 0; i < found.size(); ++i) wrong.push_back(found[i] != labels[i]);
  });
  return wrong;
}

Boosting samme(const std::vector<std::vector<bool>>& mistakes, std::size_t samples, std::int64_t classes) {
  const double n = static_cast<double>(samples);
  Boosting boosting{std::vector<double>(samples, 1 / n), {}};
  for (const std::vector<bool>& wrong : mistakes) {
    double error = 0;
    for (std::size_t i = 0; i < samples; ++i)
      if (wrong[i]) error += boosting.samples[i];
    if (std::ranges::find(wrong, true) == wrong.end()) error = 0.5 / n;
    error = std::min(error, 1 - 0.5 / n);
    const double weight =
        std::max(0.0, std::log((1 - error) / error) + std::log(static_cast<double>(std::max<std::int64_t>(2, classes) - 1)));
    boosting.models.push_back(weight);
    double sum = 0;
    for (std::size_t i = 0; i < samples; ++i) {
      if (wrong[i]) boosting.samples[i] *= std::exp(weight);
      sum += boosting.samples[i];
    }
    for (double& sample : boosting.samples) sample /= sum;
  }
  return boosting;
}

Boosting boost(const std::vector<Module*>& models, const Samples& samples, const std::vector<std::int32_t>& chosen) {
  std::vector<std::vector<bool>> wrong;
  for (Module* model : models) wrong.push_back(mistakes(*model, samples, chosen));
  return samme(wrong, chosen.size(), samples.classes());
}

}  // namespace alma
