#include "models/mlp.h"

namespace alma {

std::unique_ptr<Module> make_mlp(Context& context, const MlpSettings& settings, RandomStream init, DType dtype) {
  if (settings.hidden < 0 || settings.experts < 1)
    fail("[mlp] hidden >= 0 and experts >= 1, got ", settings.hidden, " and ", settings.experts);
  const auto hidden_layer = [&](std::int64_t in) -> std::unique_ptr<Module> {
    if (settings.experts == 1) return std::make_unique<Linear>(context, in, settings.width, true, init, dtype);
    auto gate = std::make_unique<Linear>(context, in, gate_outputs(settings.experts, settings.gating), false, init, dtype);
    std::vector<std::unique_ptr<Module>> experts;
    for (std::int64_t k = 0; k < settings.experts; ++k)
      experts.push_back(std::make_unique<Linear>(context, in, settings.width, true, init, dtype));
    return std::make_unique<Mixture>(std::move(gate), std::move(experts), settings.gating);
  };
  auto model = std::make_unique<Sequential>();
  std::int64_t in = settings.inputs;
  for (int layer = 0; layer < settings.hidden; ++layer) {
    model->add("hidden." + std::to_string(layer), hidden_layer(in));
    in = settings.width;
  }
  model->add("output", std::make_unique<Linear>(context, in, settings.classes, false, init, dtype));
  return model;
}

}  // namespace alma
