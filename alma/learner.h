#pragma once
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "alma/committee.h"
#include "alma/evaluate.h"
#include "alma/fit.h"

namespace alma {

/// One way to learn from a stream (Caccia et al. 2022, section 4): how it trains on a collected data set, how it grows, how
/// it predicts, what it weighs and what it costs. The stream, waiting, replay, evaluation and bookkeeping are the same for
/// all.
class Learner {
 public:
  virtual ~Learner() = default;
  /// Update number `update`, counted from 0, on `data`. After load() of a state inside an update, goes on with that one.
  virtual FitResult update(std::int64_t update, const MegaBatch& data, const AfterStep& after_step) = 0;
  /// Error and loss of the learner as it is now on the samples that `indices` names, by a copy in `context`, where images
  /// and indices must be: it may run on another thread while this learner goes on. What members that no longer train say
  /// about the samples is remembered, so that evaluations of one context, images and indices must follow one another.
  using Evaluate = std::function<Evaluation()>;
  virtual Evaluate evaluator(Context& context, const DeviceImages& images, const Tensor& indices) = 0;
  /// Probabilities [rows, classes] of normalised inputs x.
  virtual Tensor predict(const Tensor& x) = 0;
  virtual std::int64_t parameters() = 0;
  /// Forward multiply-adds of a prediction for one sample of so many features, by the paper's count.
  virtual Count macs_per_sample(std::int64_t features) = 0;

  /// Everything that the learner needs to go on, between updates and, called from AfterStep, inside one.
  virtual std::vector<NamedTensor> tensors() = 0;
  virtual nlohmann::json state() = 0;
  virtual void load(std::vector<NamedTensor> tensors, const nlohmann::json& state) = 0;
};

/// Makes a new model in `context`; purpose and index name the random stream that it is drawn from.
using MakeModel = std::function<std::unique_ptr<Module>(Context& context, const std::string& purpose, std::uint64_t index)>;

/// The learners that are independent models, each trained by a fit of its own: SM is one model; Ens is `members` of them
/// that all train at every update; gEns (growing) gets `members` new ones every `grow_every` updates, and only the newest
/// train. UMix is SM with a UniformMixture for a model.
struct EnsembleSettings {
  FitSettings fit;
  std::uint64_t seed = 0;
  std::int64_t members = 1;
  bool growing = false;
  std::int64_t grow_every = 1;
  // Not growing: each update starts from new random models instead of the last ones. Growing: new members start at random
  // instead of from the newest ones ("warm-started", as in the official code).
  bool from_scratch = false;
  bool bagging = false;  // each member trains on as many samples of the update, drawn with replacement
  Combine combine = Combine::probabilities;
};

/// `images` is the training set; it and `context` outlive the learner. Members train side by side on the context's threads
/// where the device can do that (cpu), each in a context of its own, and to the same bits one after the other where it has
/// one thread; elsewhere (cuda) as one stacked model, see StackedFit. A fit's results are the sum of the costs, the largest
/// number of epochs and the mean of the best accuracies.
std::unique_ptr<Learner> make_ensemble(Context& context, const DeviceImages& images, const EnsembleSettings& settings,
                                       MakeModel make_model);

}  // namespace alma
