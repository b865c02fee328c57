#include "models/module_types.h"

#include "engine/nn.h"
#include "engine/nn_images.h"
#include "engine/nn_norm.h"
#include "models/mixture.h"
#include "models/switch_layer.h"
#include "models/transformer.h"
#include "models/umix.h"
#include "models/vgg.h"

namespace alma {

ModuleTypes& module_types() {
  static ModuleTypes types = [] {
    ModuleTypes all;
    all.add<Linear>();
    all.add<GeluLayer>();
    all.add<Sequential>();
    all.add<Stack>();
    all.add<Conv2d>();
    all.add<BatchNorm2d>();
    all.add<LayerNorm>();
    all.add<SwitchLayer>();
    all.add<CausalAttention>();
    all.add<TransformerBlock>();
    all.add<Transformer>();
    all.add<Mixture>();
    all.add<UniformMixture>();
    add_vgg_types(all);
    return all;
  }();
  return types;
}

}  // namespace alma
