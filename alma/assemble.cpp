#include "alma/assemble.h"

#include "models/mlp.h"

namespace alma {

InputDescription describe_input(const ImageData& data) {
  return {data.train.channels, data.train.height, data.train.width, data.train.classes, data.mean, data.std};
}

nlohmann::json to_json(const InputDescription& input) {
  return {{"channels", input.channels}, {"height", input.height}, {"width", input.width},
          {"classes", input.classes},   {"mean", input.mean},     {"std", input.std}};
}

InputDescription input_from_json(const nlohmann::json& json) {
  return {json.at("channels"), json.at("height"), json.at("width"), json.at("classes"), json.at("mean"), json.at("std")};
}

ImageData load_data(const Config& config) {
  const Config::Stream& stream = config.stream;
  ImageRequest request;
  request.name = stream.dataset;
  request.train_images = stream.train_images;
  request.train_labels = stream.train_labels;
  request.test_images = stream.test_images;
  request.test_labels = stream.test_labels;
  request.classes = static_cast<int>(stream.classes);
  request.mean.assign(stream.mean.begin(), stream.mean.end());
  request.std.assign(stream.std.begin(), stream.std.end());
  request.synthetic.train = stream.synthetic_train;
  request.synthetic.test = stream.synthetic_test;
  return load_images(request);
}

namespace {

OptimizerRule optimizer_rule(const Config::Train& train) {
  if (train.optimizer == "sgd") return SgdRule{train.momentum, train.weight_decay, train.nesterov};
  if (train.optimizer == "adadelta") return AdadeltaRule{.weight_decay = train.weight_decay};
  AdamRule adam;
  adam.weight_decay = train.weight_decay;
  adam.decoupled = train.optimizer == "adamw";
  return adam;
}

}  // namespace

FitSettings fit_settings(const Config::Train& train) {
  return {optimizer_rule(train), train.lr,   train.batch_size, train.max_epochs, train.patience,
          train.patience_delta,  train.graph};
}

std::unique_ptr<Learner> make_learner(const Config& config, Context& context, const InputDescription& input,
                                      const DeviceImages& images) {
  const MlpSettings mlp{input.features(), config.model.width, input.classes, config.model.experts, 2};
  const LearnerSettings settings{fit_settings(config.train), static_cast<std::uint64_t>(config.seed),
                                 config.learner.from_scratch};
  return make_single_model(context, images, settings,
                           [&context, mlp](RandomStream init) { return make_mlp(context, mlp, init); });
}

}  // namespace alma
