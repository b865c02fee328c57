#pragma once
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <vector>

#include "alma/learn/progress.h"
#include "alma/learn/samples.h"
#include "data/stream.h"

namespace alma {

/// A way to learn from a stream (Caccia et al. 2022, section 4): how it trains on a collected data set, how it grows, how it
/// predicts, how many parameters it has and what it costs. The stream, waiting, replay, evaluation and bookkeeping are the
/// same for all learners.
class Learner {
 public:
  virtual ~Learner() = default;
  /// Does update number `update`, counted from 0, on the samples that `data` selects: grows, then fits. After load() of a
  /// state within an update, continues that update.
  virtual FitResult update(std::int64_t update, const Samples& samples, const MegaBatch& data,
                           const AfterStep& after_step) = 0;
  /// The largest number of samples, repetitions included, that an update trains a model on: one on a data set of `samples`
  /// training samples, after `before` training samples have arrived for earlier updates.
  virtual std::int64_t planned_samples(std::int64_t samples, std::int64_t before) const = 0;
  /// Returns a function that evaluates a copy of the learner, in its present state, on the samples that `indices` selects.
  /// The copy, the samples and the indices are in `context`; the function may run on another thread while this learner
  /// continues. The predictions of members that no longer train are kept from one evaluation to the next, so evaluations of
  /// one context, samples and indices must not overlap. An evaluation may take long: it calls `after_batch`, unless that is
  /// empty, after each batch of samples.
  using Evaluate = std::function<Score(const std::function<void()>& after_batch)>;
  virtual Evaluate evaluator(Context& context, std::shared_ptr<const Samples> samples, const Tensor& indices) = 0;
  /// The probabilities [rows, classes] for inputs x, such as those of a batch of samples.
  virtual Tensor predict(const Tensor& x) = 0;
  virtual std::int64_t parameters() = 0;
  /// The number of experts per layer, summed over the models, if it changes with the updates.
  virtual std::optional<std::int64_t> experts() { return std::nullopt; }
  /// The forward multiply-adds of a prediction for one sample, counted as in the paper.
  virtual Count macs_per_sample(const Samples& samples) = 0;

  /// The complete state with which the learner continues: between updates or, when called from AfterStep, within an update.
  virtual std::vector<NamedTensor> tensors() = 0;
  virtual nlohmann::json state() = 0;
  virtual void load(std::vector<NamedTensor> tensors, const nlohmann::json& state) = 0;
};

}  // namespace alma
