#include "alma/learn/later_learners.h"
#include "engine/autograd.h"
#include "engine/ops_elementwise.h"

namespace alma {

void shrink_and_perturb(Module& model, Module& fresh, double shrink, double perturb) {
  const NoGrad off;
  const std::vector<NamedTensor> weights = named_state(model), noise = named_state(fresh);
  if (weights.size() != noise.size())
    fail("[shrink_and_perturb] a model of ", weights.size(), " tensors and a new one of ", noise.size());
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const Tensor &weight = weights[i].second, &other = noise[i].second;
    weight.copy_from(weight.requires_grad() ? shrink * weight + perturb * other : other);
  }
}

}  // namespace alma
