#pragma once
#include <functional>
#include <memory>
#include <string>

#include "alma/learn/committee.h"
#include "alma/learn/fit.h"
#include "alma/learn/learner.h"

namespace alma {

/// Makes a new model in `context`; purpose and index name the random stream from which its weights are drawn.
using MakeModel = std::function<std::unique_ptr<Module>(Context& context, const std::string& purpose, std::uint64_t index)>;

/// What changes a model before an update: growth, for instance. EnsembleSettings::prepare.
using Prepare = std::function<void(Module& model, std::int64_t update, const Samples& samples, const MegaBatch& data,
                                   const std::function<void()>& after_batch)>;

/// The learners that consist of independent models, each trained by a fit of its own. SM is one model; Ens is `members`
/// models that all train at every update; gEns (growing) adds `members` new models every `grow_every` updates, and only the
/// newest train. UMix is SM whose model is a UniformMixture; gMoE and Firefly are SM whose model grows before an update.
struct EnsembleSettings {
  FitSettings fit;
  std::uint64_t seed = 0;
  std::int64_t members = 1;
  bool growing = false;
  std::int64_t grow_every = 1;
  // Not growing: each update starts from new random models instead of the last ones. Growing: new members start from random
  // weights instead of copies of the newest members ("warm-started", as in the official code).
  bool from_scratch = false;
  // If set, changes the model that trains before every `grow_every`-th update but the first. For one member. It may take
  // long: it calls after_batch() as long as the model is as it was, which may save a checkpoint, or throw to end the run.
  Prepare prepare;
  bool grows_experts = false;  // prepare() splits experts
  // The optimizer's state and the schedule of its rate go on from update to update. Not with models that are new or grow.
  bool optimizer_goes_on = false;
  // An update takes as many steps as on the samples that are new to it, and is validated as often; its mini-batches are of
  // all its data.
  bool steps_of_arrived = false;
  // Growing, one member: each new model is trained on what the others get wrong, and models have weights in the prediction,
  // by AdaBoost.SAMME. The weight of a model is that on the validation samples of its own update, or on the training samples
  // without such; the official code weighs all models anew at every update.
  bool boosting = false;
  bool bagging = false;  // each member trains on a bootstrap sample of the update's data
  Combine combine = Combine::probabilities;
};

/// `context` outlives the learner. Where the device allows it (cpu), members train in parallel on the context's threads,
/// each by a fit and in a context of its own; with one thread they train one after the other, to the same bits. Elsewhere
/// (cuda) one fit trains all members. The result of an update has the sum of the costs, the largest number of epochs and the
/// mean of the best qualities.
std::unique_ptr<Learner> make_ensemble(Context& context, const EnsembleSettings& settings, MakeModel make_model);

}  // namespace alma
