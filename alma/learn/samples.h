#pragma once
#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "alma/learn/score.h"
#include "engine/batch.h"

namespace alma {

/// The random bits of a training step, for instance for random crops: one place for each member of a stack, whose `first` is
/// the number of the batch's first sample among the member's samples in the step; or none if the samples are wanted
/// unchanged, as in an evaluation.
struct Draw {
  std::span<const RandomPlace> members;
};

/// A data set on the device, whose samples (images, windows of a text) are addressed by number.
class Samples {
 public:
  virtual ~Samples() = default;
  virtual std::int64_t count() const = 0;
  /// The number of outcomes that a prediction chooses from.
  virtual std::int64_t classes() const = 0;
  virtual Measure measure() const = 0;
  /// The samples that `indices` (i32 [n], each in [0, count)) select, in the context of the indices. For a stack of k
  /// members, indices [k n] hold those of one member after those of another.
  virtual Batch batch(const Tensor& indices, const Draw& draw) const = 0;
  /// An x with the shape of one sample; its values are arbitrary, since a model's cost does not depend on them.
  virtual Tensor example(Context& context) const = 0;
  /// The batch size of an evaluation.
  virtual std::int64_t evaluation_batch() const = 0;
};

/// Calls work(batch) for the chosen samples, unchanged and in their order, `batch_size` at a time.
template <class Work>
void for_each_batch(const Samples& samples, Context& context, std::span<const std::int32_t> chosen, std::int64_t batch_size,
                    const Work& work) {
  while (!chosen.empty()) {
    const auto part = chosen.first(std::min(chosen.size(), static_cast<std::size_t>(batch_size)));
    const std::vector<std::int32_t> indices(part.begin(), part.end());
    work(samples.batch(Tensor::from(context, {std::ssize(indices)}, indices), {}));
    chosen = chosen.subspan(part.size());
  }
}

/// 0, 1, ..., count - 1 on the device.
Tensor all_indices(Context& context, std::int64_t count);

}  // namespace alma
