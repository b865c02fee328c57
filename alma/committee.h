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

/// What models of equal outputs say together about x: logits [rows, classes], whose softmax is their prediction. One model
/// says what it says. A vote's probabilities are (votes + mean probability / 2) / (models + 1/2): shares of votes, with half
/// a vote left to decide between equals. No gradient.
Tensor committee_logits(std::span<const std::unique_ptr<Module>> models, Combine combine, const Tensor& x);

}  // namespace alma
