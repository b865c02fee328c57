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

/// A model that a fit is to train, and on what. `name`, such as "update 3, member 2", names it in messages and its random
/// streams.
struct Trainee {
  Module& model;
  MegaBatch data;
  std::string name;
};

/// One model of a fit on its way: the steps it has done, its best weights, its patience and its cost.
class Member {
 public:
  Member(const Trainee& trainee, const Course& course, Measure measure, double patience_delta);
  const std::string& name() const { return name_; }
  bool done() const { return course_.ends(steps_, stale_); }
  /// Training steps done; a member that is done stays at those it has ended with.
  std::int64_t steps() const { return steps_; }
  FitProgress progress() const;
  /// The training samples in the order of the epoch under way: a function of the names of its random stream, so that an
  /// epoch that is resumed finds the same one.
  std::vector<std::int32_t> order(std::uint64_t seed) const;
  /// After a training step of this cost.
  void has_trained(const Cost& cost);
  /// After a validation: remembers the weights if they are the best, the first of equals. Without predictions the last ones
  /// are.
  void has_been_validated(const Score& validation);
  /// Once it is done: puts the best weights into the model.
  FitResult finish();

  /// The best weights.
  const std::vector<NamedTensor>& best() const { return best_; }
  nlohmann::json state() const;
  /// Goes on from best() and state() of another.
  void restore(const std::vector<NamedTensor>& best, const nlohmann::json& state);

 private:
  std::string name_;
  Course course_;
  Measure measure_;
  double patience_delta_;
  std::vector<std::int32_t> train_;
  std::vector<NamedTensor> model_, best_;  // states of the model
  std::int64_t steps_ = 0;
  std::int64_t stale_ = 0;  // validations since the best
  std::optional<double> best_quality_;
  Cost cost_;
};

}  // namespace alma
