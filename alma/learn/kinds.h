#pragma once
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "alma/config/config.h"
#include "alma/learn/fit.h"
#include "alma/learn/learner.h"
#include "data/catalogue.h"

namespace alma {

// From the words of a configuration to the objects that they stand for.

/// What a model's input is: saved with a checkpoint, so that predictions need no data set.
struct InputDescription {
  int channels = 0, height = 0, width = 0, classes = 0;
  std::vector<float> mean, std;  // per channel, of pixels / 255

  std::int64_t features() const { return std::int64_t{channels} * height * width; }
};
InputDescription describe_input(const ImageData& data);
nlohmann::json to_json(const InputDescription& input);
InputDescription input_from_json(const nlohmann::json& json);

/// The images that the configuration names. Throws as load_images().
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

FitSettings fit_settings(const Config::Train& train);
/// `context` outlives the learner.
std::unique_ptr<Learner> make_learner(const Config& config, Context& context, const InputDescription& input);

}  // namespace alma
