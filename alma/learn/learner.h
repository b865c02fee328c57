#pragma once
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "alma/learn/progress.h"
#include "alma/learn/samples.h"
#include "data/stream.h"

namespace alma {

/// One way to learn from a stream (Caccia et al. 2022, section 4): how it trains on a collected data set, how it grows, how
/// it predicts, what it weighs and what it costs. The stream, waiting, replay, evaluation and bookkeeping are the same for
/// all.
class Learner {
 public:
  virtual ~Learner() = default;
  /// Update number `update`, counted from 0, on the samples that `data` names: grows, then fits. After load() of a state
  /// inside an update, goes on with that one.
  virtual FitResult update(std::int64_t update, const Samples& samples, const MegaBatch& data,
                           const AfterStep& after_step) = 0;
  /// The most samples that an update on so many trains a model on, repeats counted.
  virtual std::int64_t planned_samples(std::int64_t samples) const = 0;
  /// The score of the learner as it is now on the samples that `indices` names, by a copy in `context`, where samples and
  /// indices must be: it may run on another thread while this learner goes on. What members that no longer train say about
  /// the samples is remembered, so that evaluations of one context, samples and indices must follow one another. It may take
  /// long: after each batch of samples it calls what it is given, if that is not empty.
  using Evaluate = std::function<Score(const std::function<void()>& after_batch)>;
  virtual Evaluate evaluator(Context& context, std::shared_ptr<const Samples> samples, const Tensor& indices) = 0;
  /// Probabilities [rows, classes] of inputs x, such as a batch of samples has.
  virtual Tensor predict(const Tensor& x) = 0;
  virtual std::int64_t parameters() = 0;
  /// Forward multiply-adds of a prediction for one of the samples, by the paper's count.
  virtual Count macs_per_sample(const Samples& samples) = 0;

  /// Everything that the learner needs to go on, between updates and, called from AfterStep, inside one.
  virtual std::vector<NamedTensor> tensors() = 0;
  virtual nlohmann::json state() = 0;
  virtual void load(std::vector<NamedTensor> tensors, const nlohmann::json& state) = 0;
};

}  // namespace alma
