#include "alma/learn/kinds.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "alma/config/config.h"
#include "alma/learn/image_samples.h"
#include "base/json.h"
#include "data/catalogue.h"
#include "data/published.h"
#include "models/mlp.h"
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
  const InputDescription input{size("channels"), size("height"), size("width"),
                               size("classes"),  floats("mean"), floats("std")};
  const auto channels = static_cast<std::size_t>(input.channels);
  if (input.mean.size() != channels || input.std.size() != channels)
    throw JsonError(std::to_string(input.mean.size()) + " means and " + std::to_string(input.std.size()) +
                    " standard deviations, expected one of each for " + std::to_string(channels) + " channels");
  return input;
}

namespace {

OptimizerRule optimizer_rule(const Config::Train& train) {
  if (train.optimizer == "sgd") return SgdRule{train.momentum, train.weight_decay, train.nesterov};
  if (train.optimizer == "adadelta") return AdadeltaRule{.weight_decay = train.weight_decay};
  if (train.optimizer == "rmsprop") return RmspropRule{.weight_decay = train.weight_decay, .momentum = train.momentum};
  if (train.optimizer != "adam" && train.optimizer != "adamw")
    fail(ErrorKind::usage, "train.optimizer = \"", train.optimizer,
         "\" is not known, expected sgd | adadelta | adam | adamw | rmsprop");
  AdamRule adam;
  adam.weight_decay = train.weight_decay;
  adam.decoupled = train.optimizer == "adamw";
  return adam;
}

RateSchedule::Shape rate_shape(const Config::Train& train) {
  using Shape = RateSchedule::Shape;
  const std::map<std::string, Shape> shapes = {{"constant", Shape::constant},
                                               {"inverse_sqrt", Shape::inverse_sqrt},
                                               {"cosine", Shape::cosine},
                                               {"linear", Shape::linear}};
  return shapes.at(train.schedule);
}

// ---- architectures ----

Gating gating(const Config& config) { return config.learner.gate == "hard" ? Gating::hard : Gating::soft; }

std::string width_label(const Config& config) { return "h=" + std::to_string(config.model.width); }

ArchitectureKind mlp() {
  ArchitectureKind kind{{"mlp", "two hidden layers with ReLU (the paper's \"three-layer\" network)"}};
  kind.label = width_label;
  kind.make = [](Context& context, const Config& config, const InputDescription& input, RandomStream init) {
    return make_mlp(context, {input.features(), config.model.width, input.classes, config.model.experts, 2, gating(config)},
                    init);
  };
  return kind;
}

ArchitectureKind vgg19() {
  ArchitectureKind kind{
      {"vgg19", "16 convolutions of equal width with batch normalisation, for images of 32 x 32 (CIFAR-10)"}};
  kind.keys = {"model.conv_bias"};
  kind.label = width_label;
  kind.make = [](Context& context, const Config& config, const InputDescription& input, RandomStream init) {
    if (input.height != 32 || input.width != 32)
      fail(ErrorKind::usage, "model.architecture = \"vgg19\" takes images of 32 x 32 (cifar10), found ", input.channels,
           " x ", input.height, " x ", input.width, " (stream.dataset = \"", config.stream.dataset, "\")");
    return make_vgg19(
        context,
        {input.channels, config.model.width, input.classes, config.model.experts, gating(config), config.model.conv_bias},
        init);
  };
  return kind;
}

ArchitectureKind switch_transformer() {
  ArchitectureKind kind{{"switch", "a transformer with top-1 experts, for text"}};
  kind.available = Available::report_only;
  kind.input = Input::text;
  kind.label = width_label;
  return kind;
}

// ---- data sets ----

ImageData load_named_images(const Config& config) {
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

DataKind images(std::string name, std::string doc) {
  DataKind kind{{std::move(name), std::move(doc)}};
  kind.load = load_named_images;
  return kind;
}

DataKind own_images() {
  DataKind kind = images("idx", "your own images, in four IDX files");
  kind.keys = {"stream.train_images", "stream.train_labels", "stream.test_images", "stream.test_labels", "stream.classes"};
  kind.check = [](const Config& config, const std::string& where) {
    const Config::Stream& stream = config.stream;
    const std::pair<const char*, const std::string&> paths[] = {{"train_images", stream.train_images},
                                                                {"train_labels", stream.train_labels},
                                                                {"test_images", stream.test_images},
                                                                {"test_labels", stream.test_labels}};
    for (const auto& [key, path] : paths)
      if (path.empty())
        fail(ErrorKind::usage, "stream.", key, " is not set with stream.dataset = \"", stream.dataset,
             "\"; expected the paths of four IDX files (", where, ')');
  };
  return kind;
}

DataKind synthetic_images() {
  DataKind kind = images("synthetic-images", "images generated from a seed, for tests; no files are needed");
  kind.keys = {"stream.synthetic_train", "stream.synthetic_test"};
  return kind;
}

DataKind text() {
  DataKind kind{{"text", "a text corpus, for language models"}};
  kind.available = Available::report_only;
  kind.input = Input::text;
  return kind;
}

}  // namespace

std::deque<ArchitectureKind> built_in_architectures() { return {mlp(), vgg19(), switch_transformer()}; }

// Each published set of images is a row of data/published.cpp.
std::deque<DataKind> built_in_data() {
  std::deque<DataKind> rows;
  for (const PublishedSet& set : published_sets())
    if (set.images) rows.push_back(images(set.name, set.description));
  rows.insert(rows.end(), {own_images(), synthetic_images(), text()});
  return rows;
}

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
  settings.max_steps = train.max_steps;
  settings.micro_batch = train.micro_batch;
  settings.clip = train.clip;
  settings.decay = train.decay == "matrices" ? DecayOf::matrices : DecayOf::all;
  settings.schedule = {rate_shape(train), train.warm_up};
  settings.patience = train.patience;
  settings.patience_delta = train.patience_delta;
  settings.graph = train.graph;
  return settings;
}

ImageData load_data(const Config& config) {
  check_trainable(config);
  return data_kind(config).load(config);
}

std::unique_ptr<Module> make_model(const Config& config, const InputDescription& input, Context& context,
                                   const std::string& purpose, std::uint64_t index) {
  return architecture_kind(config).make(context, config, input,
                                        RandomStream(static_cast<std::uint64_t>(config.seed), purpose, index));
}

std::unique_ptr<Learner> make_learner(const Config& config, Context& context, const InputDescription& input) {
  check_trainable(config);
  return learner_kind(config).make({config, context, input});
}

void require_takes(const InputDescription& input, Learner& learner, Context& context) {
  const auto refuse = [&](const auto&... found) {
    fail(ErrorKind::data, "the checkpoint is of another model: one for images of ", input.channels, " x ", input.height,
         " x ", input.width, " and ", input.classes, " classes was expected; ", found...);
  };
  try {
    const Tensor p = learner.predict(Tensor::zeros(context, {1, input.features()}, DType::f32));
    if (!(p.shape() == Shape{1, input.classes})) refuse("of one image it makes ", p.shape());
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::failed) throw;
    refuse(error.what());
  }
}

}  // namespace alma
