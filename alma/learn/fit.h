#pragma once
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "alma/learn/evaluate.h"
#include "alma/learn/trainer.h"
#include "data/stream.h"

namespace alma {

/// How an update trains (paper, appendix B; configuration section [train]).
struct FitSettings {
  OptimizerRule rule;
  double learning_rate = 1;
  std::int64_t batch_size = 128;
  std::int64_t max_epochs = 100;
  std::int64_t patience = 100;     // ends after this many epochs in a row without a better validation accuracy
  double patience_delta = 0;       // "better" means by more than this
  ImageAugmentation augmentation;  // of training images; its place is the fit's to fill in
  bool graph = false;              // steps are captured once and replayed; the backend has graphs
};

/// Where a fit is, after each of its steps.
struct FitProgress {
  std::int64_t epoch = 0;  // finished
  std::int64_t max_epochs = 0;
  std::int64_t samples = 0;  // trained on since the fit began, repeats counted
};

/// Called after every step, when everything is consistent: may save a checkpoint; may throw to end the run.
using AfterStep = std::function<void(const FitProgress&)>;

struct FitResult {
  std::int64_t epochs = 0;
  double best_accuracy = -1;  // on the validation part; -1 if that is empty
  Cost cost;                  // of training steps: forward and backward
};

/// One update of one model on a collected data set: epochs of mini-batches in fresh random order (the last one may be
/// smaller), validation after each epoch, and in the end the weights of the epoch with the best validation accuracy, the
/// first of equals, as in the official code. Without validation samples the last weights stay. The optimizer starts fresh.
/// Can be saved after any step and goes on from there to the same bits.
class Fit {
 public:
  /// `name`, such as "update 3", names the fit in messages and its random streams: the orders of epochs come from
  /// RandomStream(seed, "shuffle, " + name, epoch), augmentations from (seed, "augmentation, " + name) and the step. All
  /// references outlive the fit. `images` may be in another context than the model if both are on the cpu: they are read
  /// only.
  Fit(Module& model, const DeviceImages& images, const MegaBatch& data, const FitSettings& settings, std::uint64_t seed,
      std::string name);
  bool done() const { return epoch_ >= settings_.max_epochs || stale_ >= settings_.patience; }
  /// One training step, and after the last one of an epoch its validation; only until it is done. Throws Error (failed) at a
  /// non-finite loss, naming fit, epoch and step; it is looked for at the end of an epoch and in check_losses().
  void step();
  FitProgress progress() const;
  /// Training steps done.
  std::int64_t steps() const { return epoch_ * steps_per_epoch_ + step_; }
  /// Once it is done: puts the best weights into the model.
  FitResult finish();
  /// All of that, with after_step after each step.
  FitResult run(const AfterStep& after_step);

  /// What a checkpoint inside the update needs besides the model's weights.
  std::vector<NamedTensor> tensors() const;
  nlohmann::json state() const;
  void restore(const std::vector<NamedTensor>& tensors, const nlohmann::json& state);
  /// Throws Error (failed) if a loss of the epoch under way is not finite: such a state is not worth saving.
  void check_losses() const;

 private:
  friend class StackedFit;
  void begin_epoch();
  /// The samples of the next step: [first, last) of order_.
  std::pair<std::int64_t, std::int64_t> next_samples() const;
  /// After a training step of this cost, whose loss is in its place. True at the end of an epoch.
  bool finish_step(const Cost& cost);
  void end_epoch(const Evaluation& validation);

  std::vector<NamedTensor> state_;  // of the model
  Module& model_;
  Context& context_;  // the model's
  const DeviceImages& images_;
  FitSettings settings_;
  std::uint64_t seed_;
  std::string name_;
  std::vector<std::int32_t> train_;
  Tensor validation_;  // indices
  std::int64_t steps_per_epoch_;
  Optimizer optimizer_;
  std::vector<NamedTensor> best_;  // state of the model
  Tensor order_;                   // i32 [samples], of the epoch under way
  Tensor losses_;                  // [steps_per_epoch], of the epoch under way
  std::int64_t first_loss_ = 0;    // step of the epoch from which losses_ is known
  std::int64_t epoch_ = 0;         // finished
  std::int64_t step_ = 0;          // done in the epoch under way
  std::int64_t stale_ = 0;         // epochs since the best
  double best_accuracy_ = -1;
  Cost cost_;
  Trainer trainer_;
};

/// Cumulative counts in JSON: exact decimal text.
std::string to_text(Count count);
Count count_from_text(const std::string& text);

}  // namespace alma
