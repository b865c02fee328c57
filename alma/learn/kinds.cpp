#include "alma/learn/kinds.h"

#include <algorithm>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string_view>

#include "alma/config/config.h"
#include "alma/learn/ensemble.h"
#include "alma/learn/expert_growth.h"
#include "alma/learn/image_samples.h"
#include "base/json.h"
#include "data/catalogue.h"
#include "data/published.h"
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
  const InputDescription input{size("channels"), size("height"), size("width"),
                               size("classes"),  floats("mean"), floats("std")};
  const auto channels = static_cast<std::size_t>(input.channels);
  if (input.mean.size() != channels || input.std.size() != channels)
    throw JsonError(std::to_string(input.mean.size()) + " means and " + std::to_string(input.std.size()) +
                    " standard deviations, expected one of each for " + std::to_string(channels) + " channels");
  return input;
}

namespace {

// ---- learners ----

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

using Label = std::function<std::string(const Config&)>;

// The paper's names. A language model's name includes the number of experts per layer, as in the paper's Fig. 5.
Label one_model_name(const std::string& name) {
  return [name](const Config& config) {
    return name + (data_kind(config).input == Input::text ? std::to_string(config.model.experts) : "");
  };
}
Label many_models_name(const std::string& name) {
  return [name](const Config& config) {
    const std::string members = std::to_string(config.learner.members);
    const bool language = data_kind(config).input == Input::text;
    return name + (language ? std::to_string(config.model.experts) + "@" + members : members);
  };
}

/// learner.combine must be "figures" or one of these.
void check_combine(const Config& config, const std::string& where, std::initializer_list<std::string_view> others) {
  const std::string& combine = config.learner.combine;
  if (combine == "figures" || std::find(others.begin(), others.end(), combine) != others.end()) return;
  std::string allowed = "figures";
  for (const std::string_view other : others) allowed += " | " + std::string(other);
  fail(ErrorKind::usage, "learner.combine = \"", combine, "\" does not go with learner.method = \"", config.learner.method,
       "\"; expected ", allowed, " (", where, ')');
}

/// The rule that combines models that are trained separately; `figures` is the rule of the paper's figures.
Combine combine_models(const Config::Learner& learner, Combine figures) {
  if (learner.combine == "figures") return figures;
  if (learner.combine == "vote") return Combine::vote;
  return learner.combine == "logits" ? Combine::logits : Combine::probabilities;
}

/// Settings of one model that is trained further at each update; the other ensembles change what their rows name.
EnsembleSettings single_model_settings(const Config& config) {
  EnsembleSettings settings;
  settings.fit = fit_settings(config.train);
  settings.seed = static_cast<std::uint64_t>(config.seed);
  settings.from_scratch = config.learner.from_scratch;
  return settings;
}

MakeModel model_maker(const LearnerRequest& request) {
  return
      [config = request.config, input = request.input](Context& context, const std::string& purpose, std::uint64_t index) {
        return make_model(config, input, context, purpose, index);
      };
}

std::unique_ptr<Learner> make_ensemble_of(const LearnerRequest& request, const EnsembleSettings& settings) {
  return make_ensemble(request.context, settings, model_maker(request));
}

LearnerKind single_model() {
  LearnerKind kind{{"sm", "one model, trained further at each update"}};
  kind.label = one_model_name("SM");
  kind.models = [](const Config&, std::int64_t) { return std::int64_t{1}; };
  kind.make = [](const LearnerRequest& request) { return make_ensemble_of(request, single_model_settings(request.config)); };
  return kind;
}

LearnerKind ensemble() {
  LearnerKind kind{{"ens", "independent models, all trained further at each update"}};
  kind.keys = {"learner.members", "learner.combine", "learner.bagging"};
  kind.check = [](const Config& config, const std::string& where) {
    check_combine(config, where, {"probabilities", "logits", "vote"});
    if (config.learner.combine == "vote" && config.learner.members == 1)
      fail(ErrorKind::usage, "learner.combine = \"vote\" with learner.members = 1: a vote needs at least 2 models (", where,
           ')');
  };
  kind.label = many_models_name("Ens");
  kind.models = [](const Config& config, std::int64_t) { return config.learner.members; };
  kind.make = [](const LearnerRequest& request) {
    const Config::Learner& learner = request.config.learner;
    EnsembleSettings settings = single_model_settings(request.config);
    settings.members = learner.members;
    settings.bagging = learner.bagging;
    settings.combine = combine_models(learner, Combine::probabilities);
    return make_ensemble_of(request, settings);
  };
  return kind;
}

LearnerKind uniform_mixture() {
  LearnerKind kind{{"umix", "models trained jointly by one loss on their combined logits"}};
  kind.keys = {"learner.members", "learner.combine"};
  kind.check = [](const Config& config, const std::string& where) { check_combine(config, where, {"sum", "mean"}); };
  kind.label = many_models_name("UMix");
  kind.models = [](const Config& config, std::int64_t) { return config.learner.members; };
  kind.make = [](const LearnerRequest& request) {
    const std::int64_t members = request.config.learner.members;
    const bool average = request.config.learner.combine == "mean";
    const auto make_mixture = [=, make_member = model_maker(request)](Context& context, const std::string& purpose,
                                                                      std::uint64_t index) {
      std::vector<std::unique_ptr<Module>> models;
      for (std::int64_t k = 0; k < members; ++k)
        models.push_back(make_member(context, purpose + ", part " + std::to_string(k + 1), index));
      return std::make_unique<UniformMixture>(std::move(models), average);
    };
    return make_ensemble(request.context, single_model_settings(request.config), make_mixture);
  };
  return kind;
}

LearnerKind growing_ensemble() {
  LearnerKind kind{{"gens", "an ensemble that grows by new models; only the newest are trained"}};
  kind.keys = {"learner.members", "learner.grow_every", "learner.combine"};
  kind.check = [](const Config& config, const std::string& where) {
    check_combine(config, where, {"probabilities", "logits", "vote"});
  };
  kind.label = [](const Config& config) {
    return config.learner.members == 1 ? one_model_name("gEns")(config) : many_models_name("gEns")(config);
  };
  kind.members = 1;                                               // per growth, as in the paper
  kind.models = [](const Config& config, std::int64_t updates) {  // the first are there before any update
    return config.learner.members * (1 + std::max<std::int64_t>(0, updates - 1) / config.learner.grow_every);
  };
  kind.make = [](const LearnerRequest& request) {
    const Config::Learner& learner = request.config.learner;
    EnsembleSettings settings = single_model_settings(request.config);
    settings.members = learner.members;
    settings.growing = true;
    settings.grow_every = learner.grow_every;
    settings.combine = combine_models(learner, Combine::logits);
    return make_ensemble_of(request, settings);
  };
  return kind;
}

SplitRule split_rule(const Config::Learner& learner) {
  if (learner.split == "usage") return SplitRule::usage;
  return learner.split == "loss" ? SplitRule::loss : SplitRule::random;
}

LearnerKind growing_experts() {
  LearnerKind kind{{"gmoe", "one mixture-of-experts model whose layers grow by splits of their experts"}};
  kind.keys = {"learner.grow_every", "learner.split", "learner.split_into", "learner.most_experts"};
  kind.experts = 2;  // as in the paper's figures
  kind.check = [](const Config& config, const std::string& where) {
    if (config.model.experts < 2)
      fail(ErrorKind::usage, "model.experts = ", config.model.experts, " does not go with learner.method = \"gmoe\", whose ",
           "layers are mixtures from the start; expected 2 or more (", where, ')');
    if (config.learner.from_scratch)
      fail(ErrorKind::usage,
           "learner.from_scratch = true does not go with learner.method = \"gmoe\", which keeps what it has ", "grown (",
           where, ')');
  };
  kind.label = one_model_name("gMoE");
  kind.models = [](const Config&, std::int64_t) { return std::int64_t{1}; };
  kind.growths = [](const Config& config, std::int64_t update) {
    const Config::Learner& learner = config.learner;
    const std::int64_t most = (learner.most_experts - config.model.experts) / (learner.split_into - 1);
    return std::min(update / learner.grow_every, std::max<std::int64_t>(0, most));
  };
  kind.make = [](const LearnerRequest& request) {
    const Config::Learner& learner = request.config.learner;
    EnsembleSettings settings = single_model_settings(request.config);
    settings.grow_every = learner.grow_every;
    settings.grow_model = [growth = ExpertGrowth{split_rule(learner), learner.split_into, learner.most_experts},
                           seed = settings.seed](Module& model, std::int64_t update, const Samples& samples,
                                                 const MegaBatch& data) {
      RandomStream init(seed, "growth", static_cast<std::uint64_t>(update));
      grow_experts(model, samples, data, growth, init);
    };
    return make_ensemble_of(request, settings);
  };
  return kind;
}

LearnerKind firefly() {
  LearnerKind kind{{"ff", "one model that grows by new neurons where they help most"}};
  kind.available = Available::planned;
  return kind;
}

// ---- architectures ----

std::string width_label(const Config& config) { return "h=" + std::to_string(config.model.width); }

ArchitectureKind mlp() {
  ArchitectureKind kind{{"mlp", "two hidden layers with ReLU (the paper's \"three-layer\" network)"}};
  kind.label = width_label;
  kind.make = [](Context& context, const Config& config, const InputDescription& input, RandomStream init) {
    return make_mlp(context, {input.features(), config.model.width, input.classes, config.model.experts, 2}, init);
  };
  return kind;
}

ArchitectureKind vgg19() {
  ArchitectureKind kind{
      {"vgg19", "16 convolutions of equal width with batch normalisation, for images of 32 x 32 (CIFAR-10)"}};
  kind.label = width_label;
  kind.make = [](Context& context, const Config& config, const InputDescription& input, RandomStream init) {
    if (input.height != 32 || input.width != 32)
      fail(ErrorKind::usage, "model.architecture = \"vgg19\" takes images of 32 x 32 (cifar10), found ", input.channels,
           " x ", input.height, " x ", input.width, " (stream.dataset = \"", config.stream.dataset, "\")");
    return make_vgg19(context, {input.channels, config.model.width, input.classes, config.model.experts}, init);
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

std::deque<LearnerKind> built_in_learners() {
  return {single_model(), ensemble(), uniform_mixture(), growing_ensemble(), growing_experts(), firefly()};
}

std::deque<ArchitectureKind> built_in_architectures() { return {mlp(), vgg19(), switch_transformer()}; }

// Each published set of images is a row of data/published.cpp.
std::deque<DataKind> built_in_data() {
  std::deque<DataKind> rows;
  for (const PublishedSet& set : published_sets()) rows.push_back(images(set.name, set.description));
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
