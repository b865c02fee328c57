#pragma once
#include <filesystem>
#include <map>
#include <sstream>

#include "alma/learn/fit.h"
#include "alma/learn/image_samples.h"
#include "alma/run/anytime.h"
#include "engine/autograd.h"
#include "engine/ops_loss.h"
#include "tests/data/files.h"

namespace alma::test {

/// A small stream of synthetic images that trains in a moment: 10 mega-batches of 30, two steps per epoch.
inline Config small_config() {
  Config config;
  config.stream.dataset = "synthetic-images";
  config.stream.synthetic_train = 300;
  config.stream.synthetic_test = 100;
  config.stream.mega_batches = 10;
  config.model.width = 8;
  config.model.experts = 2;
  config.train.batch_size = 16;
  config.train.max_epochs = 4;
  return config;
}

/// The first `train` of `count` images train, the others validate.
inline MegaBatch first_images(std::int32_t train, std::int32_t count) {
  MegaBatch split;
  for (std::int32_t i = 0; i < count; ++i) (i < train ? split.train : split.validation).push_back(i);
  return split;
}

/// The fit of one model.
inline Fit fit_of(Module& model, const Samples& samples, const MegaBatch& data, const FitSettings& settings,
                  std::uint64_t seed, const std::string& name) {
  return Fit({{model, data, name}}, samples, settings, seed);
}
/// To its end, where there is one result.
inline FitResult run(Fit& fit, const AfterStep& after_step) {
  while (!fit.done()) {
    fit.step();
    after_step(fit.progress());
  }
  return fit.finish().at(0);
}
inline FitResult run(Fit&& fit, const AfterStep& after_step) { return run(fit, after_step); }

/// Random pixels of 3 x 32 x 32 in 10 classes, as VGG19 takes them.
inline std::shared_ptr<const Samples> colour_images(Context& context, std::int32_t count,
                                                    const ImageAugmentation& augmentation = {}) {
  ImageSet set;
  set.channels = 3;
  set.height = set.width = 32;
  set.classes = 10;
  RandomStream random(1, "colour images");
  for (std::int64_t i = 0; i < count * set.pixels_per_image(); ++i)
    set.pixels.push_back(static_cast<std::uint8_t>(random.below(256)));
  for (std::int32_t i = 0; i < count; ++i) set.labels.push_back(i % 10);
  return upload_samples(context, set, {0.5f, 0.5f, 0.5f}, {0.25f, 0.25f, 0.25f}, augmentation);
}

/// What a run has left behind.
struct Trained {
  std::vector<MegaBatchRecord> records;
  std::vector<NamedTensor> tensors;
};

/// Runs a configuration to its end in a folder of its own. The tensors live in `context`.
inline Trained run_to_end(const Config& config, Context& context) {
  const TemporaryFolder folder;
  RunDirectory directory(std::filesystem::path(folder.path()) / "run", config, OpenMode::create);
  std::ostringstream warnings;
  Console console({nullptr, &warnings, false, false, 80, [] { return 0.0; }});
  AnytimeRun run(config, context, load_task(config));
  run.run(directory, console);
  return {read_metrics(directory.path()), CheckpointStore(directory.checkpoint_folder()).load(context).tensors};
}

/// The probabilities [count, classes] that a model gives every test image.
inline std::vector<float> test_probabilities(Module& model, Context& context, const ImageData& data) {
  const NoGrad no_grad;
  const auto samples = upload_samples(context, data.test, data.mean, data.std);
  Pass pass;
  return softmax(model.forward(samples->batch(all_indices(context, samples->count()), {}).x, pass)).to_vector<float>();
}

/// All tensors as raw bytes, in order of their names.
inline std::string bits(const std::vector<NamedTensor>& tensors) {
  std::map<std::string, std::string> sorted;
  for (const auto& [name, tensor] : tensors) {
    std::string bytes(tensor.bytes(), '\0');
    tensor.backend().download(tensor.in().data, bytes.data(), bytes.size());
    sorted[name] = bytes;
  }
  std::string all;
  for (const auto& [name, bytes] : sorted) all += name + '\0' + bytes;
  return all;
}

}  // namespace alma::test
