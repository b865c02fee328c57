#pragma once
#include <functional>
#include <memory>
#include <vector>

#include "alma/learn/samples.h"
#include "engine/nn.h"

namespace alma {

/// A function from inputs x to logits [rows, classes]; called without recording.
using LogitsOf = std::function<Tensor(const Tensor& x)>;

/// The score on the samples that `indices` (i32 [n]) select, in batches of a fixed size; waits for the device once.
Score evaluate(const LogitsOf& logits_of, const Samples& samples, const Tensor& indices);
inline Score evaluate(Module& model, const Samples& samples, const Tensor& indices) {
  Pass pass;
  return evaluate([&](const Tensor& x) { return model.forward(x, pass); }, samples, indices);
}

/// A test of a model that others no longer change, for Learner::evaluator(): evaluate() on samples and indices, with a call
/// after each batch.
std::function<Score(const std::function<void()>& after_batch)> evaluation_of(std::shared_ptr<Module> model,
                                                                             std::shared_ptr<const Samples> samples,
                                                                             const Tensor& indices);

/// The same for each member of a stack of k, on indices [k, n]; logits_of() returns the logits of all members' rows.
std::vector<Score> evaluate_stack(const LogitsOf& logits_of, const Samples& samples, const Tensor& indices);
/// Columns [first, last) of indices [k, n] as the rows of a stack, [k * (last - first)].
Tensor samples_of_stack(const Tensor& indices, std::int64_t first, std::int64_t last);

}  // namespace alma
