#pragma once
#include "engine/nn.h"

namespace alma::test {

/// What a model makes of x in a pass of its own.
inline Tensor trained(Module& model, const Tensor& x) {
  Pass pass{.purpose = Purpose::training};
  return model.forward(x, pass);
}
inline Tensor evaluated(Module& model, const Tensor& x) {
  Pass pass;
  return model.forward(x, pass);
}

}  // namespace alma::test
