#pragma once
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "alma/evaluate.h"
#include "alma/fit.h"

namespace alma {

/// What a learner is made with.
struct LearnerSettings {
  FitSettings fit;
  std::uint64_t seed = 0;
  bool from_scratch = false;  // each update starts from a new random model instead of the last one
};

/// Makes the model of an update: a new one, drawn from the given stream.
using MakeModel = std::function<std::unique_ptr<Module>(RandomStream init)>;

/// One way to learn from a stream (Caccia et al. 2022, section 4): how it trains on a collected data set, how it grows, how
/// it predicts, what it weighs and what it costs. The stream, waiting, replay, evaluation and bookkeeping are the same for
/// all.
class Learner {
 public:
  virtual ~Learner() = default;
  /// Update number `update`, counted from 0, on `data`. After load() of a state inside an update, goes on with that one.
  virtual FitResult update(std::int64_t update, const MegaBatch& data, const AfterStep& after_step) = 0;
  virtual Evaluation evaluate(const DeviceImages& images, const Tensor& indices) = 0;
  /// What evaluate() does now, by a copy in `context`, where images and indices must be: it may run on another thread while
  /// this learner goes on.
  using Evaluate = std::function<Evaluation(const DeviceImages& images, const Tensor& indices)>;
  virtual Evaluate evaluator(Context& context) = 0;
  /// Probabilities [rows, classes] of normalised inputs x.
  virtual Tensor predict(const Tensor& x) = 0;
  virtual std::int64_t parameters() = 0;
  /// Forward multiply-adds per sample, by the paper's count, measured on one sample x [1, features].
  virtual Count macs_per_sample(const Tensor& x) = 0;

  /// Everything that the learner needs to go on, between updates and, called from AfterStep, inside one.
  virtual std::vector<NamedTensor> tensors() = 0;
  virtual nlohmann::json state() = 0;
  virtual void load(std::vector<NamedTensor> tensors, const nlohmann::json& state) = 0;
};

/// SM, the single model: finetunes the model of the last update on each collected data set, or trains a new one from
/// scratch. `images` is the training set; it and `context` outlive the learner.
std::unique_ptr<Learner> make_single_model(Context& context, const DeviceImages& images, const LearnerSettings& settings,
                                           MakeModel make_model);

}  // namespace alma
