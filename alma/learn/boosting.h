#pragma once
#include <cstdint>
#include <vector>

#include "alma/learn/samples.h"
#include "engine/nn.h"

namespace alma {

/// Which of these samples the model predicts wrongly, in their order.
std::vector<bool> mistakes(Module& model, const Samples& samples, const std::vector<std::int32_t>& chosen);

/// The weights of AdaBoost.SAMME (Zhu et al., Statistics and Its Interface 2, 2009) for models in the order of their
/// training.
struct Boosting {
  std::vector<double> samples;  // for the training of the next model; they add up to 1
  std::vector<double> models;   // alpha, of each model's vote
};
/// `mistakes`: of each model, which of `samples` samples it predicts wrongly. A model's weighted error e gives it the weight
/// log((1 - e) / e) + log(classes - 1), and each of its mistakes counts exp(weight) times as much for the models after it. A
/// model without mistakes has the error of half a sample, so that weights are finite; one that is worse than chance gets the
/// weight 0.
Boosting samme(const std::vector<std::vector<bool>>& mistakes, std::size_t samples, std::int64_t classes);

/// samme() of all models on these samples.
Boosting boost(const std::vector<Module*>& models, const Samples& samples, const std::vector<std::int32_t>& chosen);

}  // namespace alma
