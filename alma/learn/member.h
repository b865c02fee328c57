#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "alma/learn/course.h"
#include "alma/learn/progress.h"
#include "alma/learn/score.h"
#include "data/stream.h"
#include "engine/nn.h"

namespace alma {

/// A model that a fit trains, and its data. `name`, such as "update 3, member 2", appears in messages and names
/// its random streams.
struct Trainee {
  Module& model;
  MegaBatch data;
  std::string name;
  // Of the training samples, if not empty: each epoch draws as many samples as there are by these weights, with replacement.
  std::vector<double> weights = {};
};

/// The state of one model during a fit: its steps, best weights, patience and cost.
class Member {
 public:
  Member(const Trainee& trainee, const Course& course, Measure measure, double patience_delta);
  const std::string& name() const { return name_; }
  bool done() const { return course_.ends(steps_, stale_); }
  /// The number of training steps done; it no longer changes once the member is done.
  std::int64_t steps() const { return steps_; }
  FitProgress progress() const;
  /// The training samples in the order of the current epoch. The order depends only on the name of its random stream, so a
  /// resumed epoch has the same order.
  std::vector<std::int32_t> order(std::uint64_t seed) const;
  /// Records a training step of this cost.
  void has_trained(const Cost& cost);
  /// Records a validation: keeps the weights if they are the best, the first among equals. Without predictions the last
  /// weights are the best.
  void has_been_validated(const Score& validation);
  /// To be called once the member is done: restores the model's best weights.
  FitResult finish();

  /// The best weights.
  const std::vector<NamedTensor>& best() const { return best_; }
  nlohmann::json state() const;
  /// Continues from best() and state() of another member.
  void restore(const std::vector<NamedTensor>& best, const nlohmann::json& state);

 private:
  std::string name_;
  Course course_;
  Measure measure_;
  double patience_delta_;
  std::vector<std::int32_t> train_;
  std::vector<double> cumulative_;         // weights of train_, if it has weights
  std::vector<NamedTensor> model_, best_;  // the model's state: current and best
  std::int64_t steps_ = 0;
  std::int64_t stale_ = 0;  // validations since the best
  std::optional<double> best_quality_;
  Cost cost_;
};

}  // namespace alma
