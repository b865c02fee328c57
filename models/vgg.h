#pragma once
#include <memory>

#include "models/mixture.h"

namespace alma {

class ModuleTypes;

/// VGG19 of the paper's CIFAR-10 experiments, equal width everywhere: five blocks of 2, 2, 4, 4, 4 convolutions 3 x 3
/// (padding 1), each followed by batch normalisation and ReLU, and a 2 x 2 max-pool at the end of each block, which
/// takes 32 x 32 images to 1 x 1; then one Linear to the classes. With experts > 1 the blocks 2 to 5 are soft mixtures
/// of that many blocks, which start as copies of one; the gate is a Linear on the block's input averaged to 4 x 4
/// (official code, vgg.py).
struct VggSettings {
  std::int64_t channels = 3;  // of the images, 32 x 32
  std::int64_t width = 64;
  std::int64_t classes = 10;
  std::int64_t experts = 1;
  Gating gating = Gating::soft;
  bool conv_bias = true;
};

/// Adds the module types of which it consists.
void add_vgg_types(ModuleTypes& types);

/// Draws all parameters from `init`, block by block from the input: first a block's expert, then its gate. forward() takes
/// [n, channels * 32 * 32] or [n, channels, 32, 32].
std::unique_ptr<Module> make_vgg19(Context& context, const VggSettings& settings, RandomStream init,
                                   DType dtype = DType::f32);

}  // namespace alma
