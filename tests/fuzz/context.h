#pragma once
#include "engine/context.h"

namespace alma::fuzz {

/// The context of all tensors of a target.
inline Context& context() {
  static Context cpu("cpu");
  return cpu;
}

}  // namespace alma::fuzz
