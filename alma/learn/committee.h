#pragma once
#include <memory>
#include <span>
#include <vector>

#include "engine/nn.h"

namespace alma {

/// The rule that combines the predictions of several models.
enum class Combine {
  probabilities,  // mean of the softmaxes
  logits,         // softmax of the mean logits
  vote,           // one vote per model; the larger mean probability breaks ties
};

/// The combined prediction of models with equal outputs for one batch of inputs; models are added one after the
/// other. No gradient.
class CommitteeSum {
 public:
  explicit CommitteeSum(Combine combine) : combine_(combine) {}
  /// `weight` of the model in the sum, at least 0.
  void add(Module& model, const Tensor& x, double weight = 1);
  /// Logits [rows, classes], whose softmax is the prediction; with one model, its own logits. Throws Error without models.
  /// The probabilities of a vote are (votes + mean probability / 2) / (models + 1/2): the shares of the votes, with half a
  /// vote for the mean probability, which breaks ties. Models with weights count as so many; all weights 0 are all 1.
  Tensor logits() const;

 private:
  void count_in(const Tensor& logits, double weight);

  Combine combine_;
  std::size_t models_ = 0;
  double weight_ = 0, first_weight_ = 0;  // of all models; of the first
  Tensor first_;                          // logits; enters the sums with the second
  Tensor sum_, votes_, ballots_;          // ballots: row c is a vote for class c
};

/// The combined logits of all `models`, one weight for each.
Tensor committee_logits(std::span<const std::unique_ptr<Module>> models, std::span<const double> weights, Combine combine,
                        const Tensor& x);

}  // namespace alma
