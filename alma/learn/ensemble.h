#pragma once
#include <functional>
#include <memory>
#include <string>

#include "alma/learn/committee.h"
#include "alma/learn/fit.h"
#include "alma/learn/learner.h"

namespace alma {

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

/// `context` outlives the learner. Members train side by side on the context's threads where the device can do that (cpu),
/// each by a fit and in a context of its own, and to the same bits one after the other where it has one thread; elsewhere
/// (cuda) by one fit of all. An update's results are the sum of the costs, the largest number of epochs and the mean of the
/// best qualities.
std::unique_ptr<Learner> make_ensemble(Context& context, const EnsembleSettings& settings, MakeModel make_model);

}  // namespace alma
