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
  // Of images.
  int channels = 0, height = 0, width = 0;
  std::vector<float> mean, std;  // per channel, of pixels / 255
  // Of text.
  std::int64_t sequence = 0;  // tokens in a sample; 0: images
  std::string vocabulary_sha256 = {};
  // Of both: what there is to choose from, classes or tokens.
  int classes = 0;

  bool of_text() const { return sequence > 0; }
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

/// Throws Error(ErrorKind::data), naming `what`, unless the model reads such images.
void require_fit(const InputDescription& input, const ImageSet& set, const std::string& what);

/// The images that the configuration names. Throws as load_images() and check_trainable().
ImageData load_data(const Config& config);

/// The data of a run: the input of its models, the stream, and functions that bring the samples to a device.
struct Task {
  using Upload = std::function<std::shared_ptr<const Samples>(Context& context)>;
  InputDescription input;
  MegaBatchStream stream;                    // of the numbers of training samples
  std::string fingerprint = {};              // SHA-256 of the content
  std::string test_name = {}, warning = {};  // for the user
  // Of the text that is tested: the mean over the corpus that it is from, which gives bits per byte; 0: no text.
  double bytes_per_token = 0;
  Upload train = {}, test = {};
};
/// The data of a set of images; training images are cropped and flipped as the configuration says.
Task image_task(const Config& config, ImageData data);
/// The data that the configuration names. Throws as load_data(), or for text as TokenCorpus and TokenStream.
Task load_task(const Config& config);
/// The same for a model that was trained on such an input, with its normalisation. Throws Error(ErrorKind::data) if it
/// cannot read the data.
Task load_task(const Config& config, const InputDescription& input);

/// The settings of a fit. Throws Error(ErrorKind::usage) for an unknown optimizer.
FitSettings fit_settings(const Config::Train& train);

}  // namespace alma
