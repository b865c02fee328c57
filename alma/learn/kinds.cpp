#include "alma/learn/kinds.h"

#include <algorithm>

#include "alma/learn/ensemble.h"
#include "alma/learn/image_samples.h"
#include "base/json.h"
#include "models/mlp.h"
#include "models/umix.h"
#include "models/vgg.h"

namespace alma {

InputDescription describe_input(const ImageData& data) {
  return {data.train.channels, data.train.height, data.train.width, data.train.classes, data.mean, data.std};
}

nlohmann::json to_json(const InputDescription& input) {
  return {{"channels", input.channels}, {"height", input.height}, {"width", input.width},
          {"classes", input.classes},   {"mean", input.mean},     {"std", input.std}};
}

InputDescription input_from_json(const nlohmann::json& json) {
  const auto size = [&](const char* key) { return static_cast<int>(json_integer(json, key, 1, 1 << 20)); };
  const auto floats = [&](const char* key) {
    std::vector<float> values;
    for (const nlohmann::json& value : json_member(json, key)) values.push_back(static_cast<float>(to_number(value, key)));
    return values;
  };
  return {size("channels"), size("height"), size("width"), size("classes"), floats("mean"), floats("std")};
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

// "figures" is what the paper's figures were made with.
Combine combine(const Config::Learner& learner) {
  if (learner.combine == "vote") return Combine::vote;
  const bool logits = learner.combine == "figures" ? learner.method == "gens" : learner.combine == "logits";
  return logits ? Combine::logits : Combine::probabilities;
}

MakeModel model_maker(const Config& config, const InputDescription& input) {
  const auto seed = static_cast<std::uint64_t>(config.seed);
  if (config.model.architecture == "vgg19") {
    if (input.height != 32 || input.width != 32)
      fail(ErrorKind::usage, "model.architecture = \"vgg19\" takes images of 32 x 32 (cifar10), found ", input.channels,
           " x ", input.height, " x ", input.width, " (stream.dataset = \"", config.stream.dataset, "\")");
    const VggSettings vgg{input.channels, config.model.width, input.classes, config.model.experts};
    return [vgg, seed](Context& context, const std::string& purpose, std::uint64_t index) {
      return make_vgg19(context, vgg, RandomStream(seed, purpose, index));
    };
  }
  const MlpSettings mlp{input.features(), config.model.width, input.classes, config.model.experts, 2};
  return [mlp, seed](Context& context, const std::string& purpose, std::uint64_t index) {
    return make_mlp(context, mlp, RandomStream(seed, purpose, index));
  };
}

MakeModel umix_maker(MakeModel make_member, std::int64_t members, bool average) {
  return [=](Context& context, const std::string& purpose, std::uint64_t index) {
    std::vector<std::unique_ptr<Module>> models;
    for (std::int64_t k = 0; k < members; ++k)
      models.push_back(make_member(context, purpose + ", part " + std::to_string(k + 1), index));
    return std::make_unique<UniformMixture>(std::move(models), average);
  };
}

}  // namespace

Task image_task(const Config& config, ImageData data) {
  ImageAugmentation augmentation;
  augmentation.pad = static_cast<int>(config.train.crop_pad);
  std::fill_n(augmentation.fill, PixelScale::max_channels, static_cast<float>(config.train.crop_fill));
  augmentation.flip = config.train.flip;
  const auto shared = std::make_shared<const ImageData>(std::move(data));
  return {describe_input(*shared), shared->fingerprint,
          [=](Context& context) { return upload_samples(context, shared->train, shared->mean, shared->std, augmentation); },
          [=](Context& context) { return upload_samples(context, shared->test, shared->mean, shared->std); }};
}

FitSettings fit_settings(const Config::Train& train) {
  FitSettings settings;
  settings.rule = optimizer_rule(train);
  settings.learning_rate = train.lr;
  settings.batch_size = train.batch_size;
  settings.max_epochs = train.max_epochs;
  settings.patience = train.patience;
  settings.patience_delta = train.patience_delta;
  settings.graph = train.graph;
  return settings;
}

std::unique_ptr<Learner> make_learner(const Config& config, Context& context, const InputDescription& input) {
  const Config::Learner& learner = config.learner;
  const bool umix = learner.method == "umix";
  EnsembleSettings settings;
  settings.fit = fit_settings(config.train);
  settings.seed = static_cast<std::uint64_t>(config.seed);
  settings.members = learner.method == "sm" || umix ? 1 : learner.members;
  settings.growing = learner.method == "gens";
  settings.grow_every = learner.grow_every;
  settings.from_scratch = learner.from_scratch;
  settings.bagging = learner.bagging;
  settings.combine = combine(learner);
  MakeModel make_model = model_maker(config, input);
  if (umix) make_model = umix_maker(std::move(make_model), learner.members, learner.combine == "mean");
  return make_ensemble(context, settings, std::move(make_model));
}

}  // namespace alma
