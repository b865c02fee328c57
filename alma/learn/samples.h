#pragma once
#include <cstdint>
#include <span>

#include "alma/learn/score.h"
#include "engine/batch.h"

namespace alma {

/// Names the random bits of a training step, such as those of random crops: one place for each member of a stack, whose
/// `first` is the number of the batch's first sample among the member's in the step; or none where samples are wanted as
/// they are, as in an evaluation.
struct Draw {
  std::span<const RandomPlace> members;
};

/// A data set on the device, whose samples have numbers: images, windows of a text.
class Samples {
 public:
  virtual ~Samples() = default;
  virtual std::int64_t count() const = 0;
  /// How many outcomes a prediction chooses from.
  virtual std::int64_t classes() const = 0;
  virtual Measure measure() const = 0;
  /// The samples that `indices` (i32, each in [0, count)) name, in the context of the indices: for a stack of k members [k
  /// n], those of one member after those of another.
  virtual Batch batch(const Tensor& indices, const Draw& draw) const = 0;
  /// The x of one sample, of any values: what a model costs does not depend on them.
  virtual Tensor example(Context& context) const = 0;
  /// How many samples an evaluation asks for at a time.
  virtual std::int64_t evaluation_batch() const = 0;
};

/// 0, 1, ..., count - 1 on the device.
Tensor all_indices(Context& context, std::int64_t count);

}  // namespace alma
