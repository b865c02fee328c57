#include "alma/learn/kinds.h"

#include <algorithm>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "alma/config/config.h"
#include "alma/learn/image_samples.h"
#include "base/json.h"
#include "data/catalogue.h"

namespace alma {

InputDescription describe_input(const ImageData& data) {
  InputDescription input;
  input.channels = data.train.channels;
  input.height = data.train.height;
  input.width = data.train.width;
  input.mean = data.mean;
  input.std = data.std;
  input.classes = data.train.classes;
  return input;
}

nlohmann::json to_json(const InputDescription& input) {
  if (input.of_text())
    return {{"sequence", input.sequence}, {"vocabulary", input.classes}, {"vocabulary_sha256", input.vocabulary_sha256}};
  return {{"channels", input.channels}, {"height", input.height}, {"width", input.width},
          {"classes", input.classes},   {"mean", input.mean},     {"std", input.std}};
}

InputDescription input_from_json(const nlohmann::json& json) {
  const auto size = [&](const char* key) { return static_cast<int>(json_integer(json, key, 1, 1 << 20)); };
  InputDescription input;
  if (json.contains("sequence")) {
    input.sequence = size("sequence");
    input.classes = static_cast<int>(json_integer(json, "vocabulary", 1, std::numeric_limits<std::int32_t>::max()));
    input.vocabulary_sha256 = json_text(json, "vocabulary_sha256");
    return input;
  }
  const auto floats = [&](const char* key) {
    std::vector<float> values;
    for (const nlohmann::json& value : json_member(json, key)) values.push_back(static_cast<float>(to_number(value, key)));
    return values;
  };
  input.channels = size("channels");
  input.height = size("height");
  input.width = size("width");
  input.classes = size("classes");
  input.mean = floats("mean");
  input.std = floats("std");
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
  AdamRule adam{.beta1 = train.beta1, .beta2 = train.beta2};
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

}  // namespace

Task image_task(const Config& config, ImageData data) {
  ImageAugmentation augmentation;
  augmentation.pad = static_cast<int>(config.train.crop_pad);
  std::fill_n(augmentation.fill, PixelScale::max_channels, static_cast<float>(config.train.crop_fill));
  augmentation.flip = config.train.flip;
  const auto shared = std::make_shared<const ImageData>(std::move(data));
  const Config::Stream& stream = config.stream;
  Task task{.input = describe_input(*shared),
            .stream = MegaBatchStream(shared->train.count(), stream.mega_batches, stream.validation,
                                      static_cast<std::uint64_t>(stream.seed))};
  task.fingerprint = shared->fingerprint;
  task.test_name = shared->test.name;
  task.warning = shared->warning;
  task.train = [=](Context& context) {
    return upload_samples(context, shared->train, shared->mean, shared->std, augmentation);
  };
  task.test = [=](Context& context) { return upload_samples(context, shared->test, shared->mean, shared->std); };
  return task;
}

Task load_task(const Config& config) {
  check_trainable(config);
  const DataKind& kind = data_kind(config);
  return kind.task ? kind.task(config) : image_task(config, kind.load(config));
}

Task load_task(const Config& config, const InputDescription& input) {
  if (data_kind(config).task) {
    Task task = load_task(config);
    if (task.input.vocabulary_sha256 != input.vocabulary_sha256 || task.input.sequence > input.sequence)
      fail(ErrorKind::data, task.test_name, ": samples of ", task.input.sequence, " tokens of the vocabulary ",
           task.input.vocabulary_sha256, "; the model expects ", input.sequence, " of ", input.vocabulary_sha256);
    return task;
  }
  ImageData data = load_data(config);
  require_fit(input, data.test, data.test.name);
  if (data.test.classes > input.classes)
    fail(ErrorKind::data, data.test.name, ": labels of ", data.test.classes, " classes, the model has only ", input.classes);
  data.mean = input.mean;
  data.std = input.std;
  return image_task(config, std::move(data));
}

void require_fit(const InputDescription& input, const ImageSet& set, const std::string& what) {
  if (input.of_text()) fail(ErrorKind::data, what, ": images; the model expects text");
  if (set.channels != input.channels || set.height != input.height || set.width != input.width)
    fail(ErrorKind::data, what, ": images of ", set.channels, " x ", set.height, " x ", set.width, ", the model expects ",
         input.channels, " x ", input.height, " x ", input.width);
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
  const std::int64_t rows = input.of_text() ? input.sequence : 1;
  const auto refuse = [&](const auto&... found) {
    if (input.of_text())
      fail(ErrorKind::data, "the checkpoint is of another model: one for ", input.sequence, " tokens of a vocabulary of ",
           input.classes, " was expected; ", found...);
    fail(ErrorKind::data, "the checkpoint is of another model: one for images of ", input.channels, " x ", input.height,
         " x ", input.width, " and ", input.classes, " classes was expected; ", found...);
  };
  try {
    const Tensor x = input.of_text() ? Tensor::zeros(context, {1, rows}, DType::i32)
                                     : Tensor::zeros(context, {1, input.features()}, DType::f32);
    const Tensor p = learner.predict(x);
    if (!(p.shape() == Shape{rows, input.classes})) refuse("of one sample it makes ", p.shape());
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::failed) throw;
    refuse(error.what());
  }
}

}  // namespace alma
