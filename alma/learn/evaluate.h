#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "data/images.h"
#include "engine/nn.h"
#include "engine/ops_images.h"

namespace alma {

/// Puts an image set on the device: pixels as bytes, labels, and how they are normalised.
DeviceImages upload_images(Context& context, const ImageSet& set, const std::vector<float>& mean,
                           const std::vector<float>& std);

/// What a model does on a set of labelled images.
struct Evaluation {
  std::int64_t count = 0;
  std::int64_t hits = 0;
  double loss_sum = 0;  // of cross-entropies

  double accuracy() const { return static_cast<double>(hits) / static_cast<double>(count); }
  /// In [0, 1], from the count of misses, so that it is exact.
  double error() const { return static_cast<double>(count - hits) / static_cast<double>(count); }
  double loss() const { return loss_sum / static_cast<double>(count); }
};

/// The logits [rows, classes] that somebody gives inputs x; called without recording.
using LogitsOf = std::function<Tensor(const Tensor& x)>;

/// Error and loss over the images that `indices` (i32 [n]) name, in batches of a fixed size; waits for the device once.
Evaluation evaluate(const LogitsOf& logits_of, const DeviceImages& images, const Tensor& indices);
inline Evaluation evaluate(Module& model, const DeviceImages& images, const Tensor& indices) {
  Pass pass;
  return evaluate([&](const Tensor& x) { return model.forward(x, pass); }, images, indices);
}

/// The same of each of a stack of k members, on indices [k, n]: logits_of() gives those of all members' rows.
std::vector<Evaluation> evaluate_stack(const LogitsOf& logits_of, const DeviceImages& images, const Tensor& indices);
/// Columns [first, last) of indices [k, n] as the rows of a stack, [k * (last - first)].
Tensor samples_of_stack(const Tensor& indices, std::int64_t first, std::int64_t last);

/// 0, 1, ..., count - 1 on the device.
Tensor all_indices(Context& context, std::int64_t count);

}  // namespace alma
