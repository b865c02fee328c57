#pragma once
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "alma/config/kinds.h"
#include "alma/learn/fit.h"
#include "alma/learn/learner.h"
#include "data/catalogue.h"

namespace alma {

// From the words of a configuration to the objects that they stand for, by the rows of alma/config/kinds.h.

/// What a model's input is: saved with a checkpoint, so that predictions need no data set.
struct InputDescription {
  int channels = 0, height = 0, width = 0, classes = 0;
  std::vector<float> mean, std;  // per channel, of pixels / 255

  std::int64_t features() const { return std::int64_t{channels} * height * width; }
};
InputDescription describe_input(const ImageData& data);
nlohmann::json to_json(const InputDescription& input);
InputDescription input_from_json(const nlohmann::json& json);

/// What a learner is made of: LearnerKind::make. `context` outlives the learner.
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

/// What a run learns from: the input of its models, and samples, put on a device where they are wanted.
struct Task {
  using Upload = std::function<std::shared_ptr<const Samples>(Context& context)>;
  InputDescription input;
  std::string fingerprint;  // SHA-256 of the content
  Upload train, test;
};
/// Of images, those to train on cut and mirrored as the configuration says.
Task image_task(const Config& config, ImageData data);

/// How a model is fitted. Throws Error(ErrorKind::usage) for an optimizer that is not known.
FitSettings fit_settings(const Config::Train& train);

}  // namespace alma
