#pragma once
#include <memory>

#include "models/mixture.h"

namespace alma {

/// The paper's MNIST network: `hidden` layers Linear + ReLU of equal width, then a Linear to the classes. With experts > 1
/// every hidden layer is a soft mixture of that many Linear + ReLU, each with its own initial weights (the figures' "SM" has
/// 2); the output layer is shared.
struct MlpSettings {
  std::int64_t inputs = 784;
  std::int64_t width = 64;
  std::int64_t classes = 10;
  std::int64_t experts = 1;
  int hidden = 2;
  Gating gating = Gating::soft;
};

/// Draws all parameters from `init`, layer by layer from the input: gate first, then the experts.
std::unique_ptr<Module> make_mlp(Context& context, const MlpSettings& settings, RandomStream init, DType dtype = DType::f32);

}  // namespace alma
