// The rows of model.architecture and stream.dataset; those for text are in text_kinds.cpp.
#include "alma/config/config.h"
#include "alma/learn/kinds.h"
#include "alma/learn/text_kinds.h"
#include "data/published.h"
#include "models/mlp.h"
#include "models/vgg.h"

namespace alma {

namespace {

// ---- architectures ----

Gating gating(const Config& config) { return config.learner.gate == "hard" ? Gating::hard : Gating::soft; }

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

}  // namespace

std::deque<ArchitectureKind> built_in_architectures() { return {mlp(), vgg19(), switch_transformer()}; }

// Each published set of images is a row of data/published.cpp.
std::deque<DataKind> built_in_data() {
  std::deque<DataKind> rows;
  for (const PublishedSet& set : published_sets())
    if (set.images) rows.push_back(images(set.name, set.description));
  rows.insert(rows.end(), {own_images(), synthetic_images(), text_data()});
  return rows;
}

}  // namespace alma
