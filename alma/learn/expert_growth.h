#pragma once
#include <cstdint>

#include "alma/learn/samples.h"
#include "data/stream.h"
#include "engine/nn.h"

namespace alma {

/// Which expert of a layer is split.
enum class SplitRule {
  usage,  // that of the largest weight, summed over the samples (the paper's figures: the released code)
  loss,  // that of the largest loss: each sample's loss counts with the weight of the expert (the paper's text, section 4.2)
  random,  // any, as a control
};

/// The growth of mixtures of experts (gMoE, Caccia et al. 2022, section 4.2).
struct ExpertGrowth {
  SplitRule rule = SplitRule::usage;
  std::int64_t into = 2;           // the experts that a split makes of one
  std::int64_t most_experts = 64;  // per layer; a layer that has no room for another split stays as it is
};

/// Splits one expert in every mixture of the model. Experts are compared on the validation samples of `data`, as in the
/// official code, or on its training samples if it has no others; among equal ones the first is split. `init` draws the
/// choices of SplitRule::random and the weights of the new gates, mixture by mixture; the bias of a hard gate is then such
/// that half of the samples go each way. Throws Error if the model has no mixture.
void grow_experts(Module& model, const Samples& samples, const MegaBatch& data, const ExpertGrowth& growth,
                  RandomStream& init);

}  // namespace alma
