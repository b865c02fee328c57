#pragma once
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "alma/config/kinds.h"
#include "alma/learn/fit.h"
#include "alma/learn/learner.h"
#include "data/catalogue.h"

namespace alma {

// Makes the objects that the words of a configuration stand for, by the rows of alma/config/kinds.h.

/// The description of a model's input. It is saved with a checkpoint, so that predictions need no data set.
struct InputDescription {
  int channels = 0, height = 0, width = 0, classes = 0;
  std::vector<float> mean, std;  // per channel, of pixels / 255

  std::int64_t features() const { return std::int64_t{channels} * height * width; }
};
InputDescription describe_input(const ImageData& data);
nlohmann::json to_json(const InputDescription& input);
InputDescription input_from_json(const nlohmann::json& json);

/// The argument of LearnerKind::make. `context` outlives the learner.
struct LearnerRequest {
  const Config& config;
  Context& context;
  const InputDescription& input;
};
/// The learner that the configuration names. Throws as check_trainable().
std::unique_ptr<Learner> make_learner(const Config& config, Context& context, const InputDescription& input);

/// Throws Error(ErrorKind::data) unless a learner that was loaded gives `input.classes` probabilities of such an input: the
/// models of a checkpoint may have any structure.
void require_takes(const InputDescription& input, Learner& learner, Context& context);

/// A new model of the configured architecture in `context`; its weights are drawn from the stream (config.seed, purpose,
/// index). For learners, which may make models in contexts of their own.
std::unique_ptr<Module> make_model(const Config& config, const InputDescription& input, Context& context,
                                   const std::string& purpose, std::uint64_t index);

/// The images that the configuration names. Throws as load_images() and check_trainable().
ImageData load_data(const Config& config);

/// The data of a run: the input of its models, and functions that copy the samples to a device.
struct Task {
  using Upload = std::function<std::shared_ptr<const Samples>(Context& context)>;
  InputDescription input;
  std::string fingerprint;  // SHA-256 of the content
  Upload train, test;
};
/// The data of a set of images; training images are cropped and flipped as the configuration says.
Task image_task(const Config& config, ImageData data);

/// The settings of a fit. Throws Error(ErrorKind::usage) for an unknown optimizer.
FitSettings fit_settings(const Config::Train& train);

}  // namespace alma
