#pragma once
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "alma/learn/member.h"
#include "alma/learn/samples.h"
#include "alma/learn/trainer.h"

namespace alma {

/// How an update trains.
struct FitSettings : CourseSettings, TrainerSettings {};

/// One update of one model, or of several of equal shapes, on collected data: mini-batches in fresh random order, validation
/// as the course says, and in the end the weights of the best validation, the first of equals, as in the official code. The
/// optimizer starts fresh. Can be saved after any step and goes on from there to the same bits.
///
/// Several models train and are validated as one stack: the same launches for all of them, k times as large. Each goes its
/// own way as if it were trained by itself - its order of samples, its random bits, its patience, its best weights, its
/// costs - to the same weights but for roundings. Who is done before the others is carried along: its weights go on, and
/// finish() puts the best ones back.
class Fit {
 public:
  /// At least one trainee, all with equally many samples; several models are views of a stack from now on. Orders of samples
  /// come from RandomStream(seed, "shuffle, " + name, epoch), what the samples draw from (seed, "augmentation, " + name) and
  /// the step. Models and samples outlive the fit. `samples` may be in another context than the models if both are on the
  /// cpu: they are read only.
  Fit(std::vector<Trainee> trainees, const Samples& samples, const FitSettings& settings, std::uint64_t seed);
  bool done() const;
  /// A training step of all members, and a validation after it if there is one; only until they are done. Throws Error
  /// (failed) at a non-finite loss, naming member, epoch and step; it is looked for before a validation, at the end of an
  /// epoch and in check_losses().
  void step();
  /// The slowest member's epoch, and the mean of the samples.
  FitProgress progress() const;
  /// Once it is done: puts the best weights into the models. One for each member.
  std::vector<FitResult> finish();

  /// What a checkpoint inside the update needs of a member besides its model's weights.
  std::vector<NamedTensor> tensors(std::size_t member) const;
  nlohmann::json state(std::size_t member) const;
  void restore(std::size_t member, const std::vector<NamedTensor>& tensors, const nlohmann::json& state);
  /// Whether those that are not done have done equally many steps: not so after restore() where they have trained one by one
  /// before. They cannot go on as a stack.
  bool in_step() const;
  /// Throws Error (failed) if a loss since the last look is not finite: such a state is not worth saving.
  void check_losses() const;

 private:
  std::int64_t size() const { return static_cast<std::int64_t>(members_.size()); }
  /// Of those that are not done; those of all if all are.
  std::int64_t steps() const;
  void begin_epoch(std::size_t member) const;
  /// Of those that have trained in this step.
  void validate(const std::vector<std::size_t>& trained);
  /// From first_loss_ to the last of so many steps.
  void check_losses(const std::vector<std::size_t>& members, std::int64_t steps) const;
  /// A member's part of the optimizer's state.
  std::vector<NamedTensor> optimizer_state(std::size_t member) const;

  std::unique_ptr<Module> stack_;  // null: one model
  Module& model_;
  const Samples& samples_;
  std::uint64_t seed_;
  Course course_;
  std::vector<Member> members_;
  Trainer trainer_;
  Tensor orders_;                // i32 [members, samples], each of the member's epoch under way
  Tensor validation_;            // i32 [members, samples]
  Tensor losses_;                // [steps per epoch, members], of the epoch under way
  std::int64_t first_loss_ = 0;  // the row from which losses_ have not been looked at
};

}  // namespace alma
