#pragma once
#include <memory>
#include <vector>

#include "alma/learn/fit.h"

namespace alma {

/// Fits of models of equal shapes on equally many samples, trained and validated side by side as one stack: the same
/// launches for all of them, k times as large. Each goes its own way as if it were trained by itself - its order of samples,
/// its augmentations, its patience, its best epoch, its costs - to the same weights but for roundings. Who is done before
/// the others is carried along: its weights go on, and finish() of its fit puts its best ones back.
class StackedFit {
 public:
  /// Whether those that are not done have done equally many steps: not so where they have trained one by one before.
  static bool possible(const std::vector<std::unique_ptr<Fit>>& fits);

  /// `model` is a stack() of the fits' models, made before the fits. All references outlive this. From now on the fits are
  /// not to be asked for steps of their own.
  StackedFit(Module& model, const std::vector<std::unique_ptr<Fit>>& fits);
  /// A step of every fit; false if all were done. Throws as Fit::step().
  bool step();

 private:
  void validate();

  Module& model_;
  const std::vector<std::unique_ptr<Fit>>& fits_;
  Tensor orders_;      // i32 [k, samples], of which the fits' are views
  Tensor losses_;      // [k, steps per epoch], likewise
  Tensor validation_;  // i32 [k, samples], likewise
  Optimizer optimizer_;
  Trainer trainer_;
};

}  // namespace alma
