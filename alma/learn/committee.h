#pragma once
#include <memory>
#include <span>
#include <vector>

#include "engine/nn.h"

namespace alma {

/// How several models predict together.
enum class Combine {
  probabilities,  // mean of the softmaxes
  logits,         // softmax of the mean logits
  vote,           // each model has one vote; of classes with equal votes the one with the larger mean probability wins
};

/// What models of equal outputs say together about one batch of inputs, one model added after the other. No gradient.
class CommitteeSum {
 public:
  explicit CommitteeSum(Combine combine) : combine_(combine) {}
  void add(Module& model, const Tensor& x);
  /// Logits [rows, classes], whose softmax is the prediction. One model says what it says; without models an Error. A vote's
  /// probabilities are (votes + mean probability / 2) / (models + 1/2): shares of votes, with half a vote left to decide
  /// between equals.
  Tensor logits() const;

 private:
  void count_in(const Tensor& logits);

  Combine combine_;
  std::size_t models_ = 0;
  Tensor first_;                  // logits; enters the sums with the second
  Tensor sum_, votes_, ballots_;  // ballots: row c is a vote for class c
};

/// The same of all of `models`.
Tensor committee_logits(std::span<const std::unique_ptr<Module>> models, Combine combine, const Tensor& x);

}  // namespace alma
