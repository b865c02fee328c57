#pragma once
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "alma/learn/learning_rate.h"
#include "alma/learn/member.h"
#include "alma/learn/samples.h"
#include "alma/learn/trainer.h"

namespace alma {

/// The settings of a fit.
struct FitSettings : CourseSettings, TrainerSettings {
  RateSchedule schedule = {};  // takes the place of rate_factor, unless it is constant without a warm-up
  // Of an optimizer that goes on: the steps that it has done before this fit, and in all fits together. 0: this fit's.
  std::int64_t steps_before = 0, schedule_steps = 0;
};

/// One update of one model, or of several models of equal shapes, on collected data: mini-batches in a new random order,
/// validation as the course says, and finally the weights of the best validation (the first among equals), as in the
/// official code. The optimizer's state is new, unless go_on_with() is called. A fit can be saved after any step and
/// continues from there to the same bits.
///
/// Several models are trained and validated as one stack: the same launches for all of them, k times as large. Each model
/// has its own order of samples, random bits, patience, best weights and costs, as if it were trained alone, and gets the
/// same weights up to rounding. A model that is done before the others stays in the stack: its weights still change, and
/// finish() restores the best ones.
class Fit {
 public:
  /// At least one trainee, all with the same number of samples; several models become views of a stack. The orders of
  /// samples come from RandomStream(seed, "shuffle, " + name, epoch); the samples' random bits from (seed, "augmentation, "
  /// + name) and the step. Models and samples outlive the fit. `samples` may be in another context than the models if both
  /// are on the cpu, since they are only read.
  Fit(std::vector<Trainee> trainees, const Samples& samples, const FitSettings& settings, std::uint64_t seed);
  bool done() const;
  /// Does a training step of all members, and the validation that may follow it. Not to be called when all members are done.
  /// Throws Error (failed) at a non-finite loss, naming member, epoch and step; the losses are checked before a validation,
  /// at the end of an epoch and in check_losses().
  void step();
  /// The progress: the epoch of the slowest member, and the members' mean number of samples.
  FitProgress progress() const;
  /// A member's part of the optimizer's state, and how to begin with that of an earlier fit: before the first step.
  std::vector<NamedTensor> optimizer_state(std::size_t member) const;
  void go_on_with(std::size_t member, const std::vector<NamedTensor>& optimizer_state);
  /// The steps of the optimizer, those before this fit included.
  std::int64_t optimizer_steps() const { return trainer_.optimizer().steps(); }
  /// To be called once the fit is done: restores the best weights of the models. Returns one result per member.
  std::vector<FitResult> finish();

  /// The state of a member that a checkpoint within the update needs in addition to its model's weights.
  std::vector<NamedTensor> tensors(std::size_t member) const;
  nlohmann::json state(std::size_t member) const;
  void restore(std::size_t member, const std::vector<NamedTensor>& tensors, const nlohmann::json& state);
  /// Whether all members that are not done have done the same number of steps. This may be false after restore(), if they
  /// were trained one by one before; they cannot continue as a stack then.
  bool in_step() const;
  /// Throws Error (failed) if a loss since the last check is not finite: such a state is not worth saving.
  void check_losses() const;

 private:
  std::int64_t size() const { return static_cast<std::int64_t>(members_.size()); }
  /// The steps done by the members that are not done, or by all members if all are done.
  std::int64_t steps() const;
  void begin_epoch(std::size_t member) const;
  /// Validates the members that have trained in this step.
  void validate(const std::vector<std::size_t>& trained);
  /// The losses from first_loss_ up to the last of that many steps.
  void check_losses(const std::vector<std::size_t>& members, std::int64_t steps) const;

  std::unique_ptr<Module> stack_;  // null if there is one model
  Module& model_;
  const Samples& samples_;
  std::uint64_t seed_;
  std::int64_t steps_before_;
  Course course_;
  std::vector<Member> members_;
  Trainer trainer_;
  Tensor orders_;                // i32 [members, samples]: each member's order in its current epoch
  Tensor validation_;            // i32 [members, samples]
  Tensor losses_;                // [steps per epoch, members], of the current epoch
  std::int64_t first_loss_ = 0;  // the first row of losses_ that has not been checked
};

}  // namespace alma
