#include "models/module_types.h"

#include "models/mixture.h"
#include "models/umix.h"
#include "models/vgg.h"

namespace alma {

ModuleTypes& module_types() {
  static ModuleTypes types = [] {
    ModuleTypes all;
    all.add<Mixture>();
    all.add<UniformMixture>();
    add_vgg_types(all);
    return all;
  }();
  return types;
}

}  // namespace alma
