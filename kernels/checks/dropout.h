#pragma once
#include "kernels/checks/arrays.h"

namespace alma::check {

inline Observed dropout(Backend& backend, const In& x, double probability, const RandomPlace& place, const Out& y) {
  if (!(probability >= 0 && probability < 1)) fail("[dropout] the probability must be in [0, 1), got ", probability);
  random_place("dropout", place);
  array("dropout", "x", x, x.dtype, x.shape);
  array("dropout", "y", y, x.dtype, x.shape);
  return {backend, "dropout", x, y};
}

}  // namespace alma::check
